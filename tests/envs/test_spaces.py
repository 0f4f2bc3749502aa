from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.envs.spaces import CodeSpace, DialogSpace


@pytest.mark.parametrize("make", [CodeSpace, DialogSpace])
def test_samples_are_seeded_contained_and_json_able(make: type[CodeSpace | DialogSpace]) -> None:
    one, two = make(), make()
    one.seed(1), two.seed(1)
    samples = [one.sample() for _ in range(20)]
    assert samples == [two.sample() for _ in range(20)]
    assert all(sample in one for sample in samples)
    assert one.from_jsonable(one.to_jsonable(samples)) == samples
    assert len({str(sample) for sample in samples}) > 1
    assert pickle.loads(pickle.dumps(one)) == one == two


@given(st.text(st.characters(), max_size=20))
def test_any_text_up_to_the_bound_is_code(text: str) -> None:
    assert (text in CodeSpace(max_length=10)) is (len(text) <= 10)


@pytest.mark.parametrize(
    "thing",
    [
        None,
        "text",
        ({"role": "user", "content": "x"},),
        [{"role": "robot", "content": "x"}],
        [{"role": "user"}],
        [{"role": "user", "content": 3}],
        [{"role": "user", "content": "x", "extra": "y"}],
        [{"role": "user", "content": "x" * 11}],
        [{"role": "user", "content": "x"}] * 4,
    ],
)
def test_malformed_dialogs_are_outside(thing: object) -> None:
    assert thing not in DialogSpace(max_messages=3, max_length=10)
