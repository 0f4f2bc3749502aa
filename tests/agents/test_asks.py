"""The policy of who asks for a hint: its features by hand, its probabilities, its plain form."""

from __future__ import annotations

import json
import math
import time
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.agents.asks import FEATURES, ITAP, AsksPolicy, Attempt, visible
from novicegym.errors import UsageError
from novicegym.grading.verdict import OUTCOMES


def policy(intercept: float = 0.0, **weights: float) -> AsksPolicy:
    return AsksPolicy(intercept, dict.fromkeys(FEATURES, 0.0) | weights, 0.25, {"hard": 0.75})


ATTEMPTS = (
    Attempt("a = 1", 0.5, "logical"),
    Attempt("a = 2", 0.75, "runtime"),
    Attempt("a = 3", 0.25, "runtime"),
    Attempt(" a = 3\n", 0.75, "compile"),
)


def seen(*attempts: Attempt, unseen: int = 0) -> dict[str, float]:
    values = visible(
        attempts, asked_here=True, asked_elsewhere=False, difficulty=0.4, unseen=unseen
    )
    return dict(zip(FEATURES, values, strict=True))


def test_features_by_hand() -> None:
    assert seen(*ATTEMPTS) == {
        "compile": 1, "runtime": 0, "stopped": 0, "grade": 0.75, "attempts": 2,
        "stuck": math.log2(3), "same_code": 1, "edit": 0, "asked_here": 1, "asked_elsewhere": 0,
        "difficulty": 0.4,
    }  # fmt: skip
    third = seen(*ATTEMPTS[:3], unseen=5)
    assert (third["stuck"], third["same_code"], third["attempts"]) == (1, 0, 3)
    assert third["edit"] == pytest.approx(0.2)  # one of five characters
    assert seen(Attempt("", 0.0, "timeout"))["stopped"] == 1


@given(st.text("ab \n", max_size=80), st.text("ab \n", max_size=80))
def test_the_edit_is_difflibs(before: str, now: str) -> None:
    attempts = [Attempt(one, 0.0, "logical") for one in (before, now)]
    ratio = SequenceMatcher(None, before.strip(), now.strip(), autojunk=False).ratio()
    assert seen(*attempts)["edit"] == 1 - ratio


@pytest.mark.parametrize("characters", [2_400, 60_000])
def test_a_program_made_to_be_slow_is_not(characters: int) -> None:
    """difflib alone takes 20 s for the shorter ones."""
    attempts = [
        Attempt((one * characters)[:characters], 0.0, "logical") for one in ("ab", "aab", "aab")
    ]
    begun = time.monotonic()
    two, three = seen(*attempts[:2]), seen(*attempts)
    assert time.monotonic() - begun < 8
    assert 0 < two["edit"] < 0.5  # a sixth more of one letter
    assert (three["edit"], three["same_code"]) == (0, 1)


def test_the_edit_of_a_long_program_is_seen_at_its_place() -> None:
    program = "".join(f"total_{n} = price * {n} + total_{n - 1}\n" for n in range(1, 600))
    one = seen(Attempt(program, 0.0, "logical"), Attempt(f"{program}x = 1", 0.0, "logical"))
    assert 0 < one["edit"] < 0.001


def test_probability_is_the_logistic_of_the_weighted_features() -> None:
    asks = policy(-1.0, grade=-2.0, asked_here=3.0, difficulty=4.0)
    after = asks.probability("hard", ATTEMPTS, asked_here=True)
    assert after == pytest.approx(1 / (1 + math.exp(-(-1.0 - 1.5 + 3.0 + 3.0))))
    elsewhere = asks.probability("unknown", ATTEMPTS)
    assert elsewhere == pytest.approx(1 / (1 + math.exp(-(-1.0 - 1.5 + 1.0))))


def test_nobody_asks_after_solving_or_before_submitting() -> None:
    assert policy(100.0).probability("a", [*ATTEMPTS, Attempt("x", 1.0, "correct")]) == 0
    with pytest.raises(UsageError, match="after a submission"):
        policy().probability("a", [])


@given(
    st.lists(
        st.builds(Attempt, st.text(max_size=9), st.floats(0, 1), st.sampled_from(OUTCOMES)),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
    st.sampled_from([-1e6, -3.0, 0.0, 1e6]),
)
def test_any_history_has_a_probability(
    attempts: list[Attempt], before: bool, intercept: float
) -> None:
    asks = policy(intercept, **dict.fromkeys(FEATURES, 1.0))
    assert 0 <= asks.probability("hard", attempts, asked_here=before) <= 1


def test_json_holds_the_policy() -> None:
    for asks in (ITAP, policy(0.5, edit=1.0)):
        again = AsksPolicy.from_json(json.loads(json.dumps(asks.to_json())))
        assert again.to_json() == asks.to_json()
        assert again.probability("hard", ATTEMPTS) == asks.probability("hard", ATTEMPTS)


def test_a_missing_or_unknown_weight_is_named() -> None:
    weights = {name: 0.0 for name in FEATURES if name != "compile"} | {"mood": 1.0}
    with pytest.raises(UsageError, match="compile, mood"):
        AsksPolicy(0.0, weights)
