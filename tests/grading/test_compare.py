"""Equality of values and of output, and the canonical text both are carried in."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict, namedtuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.grading.canonical import Opaque, decode
from novicegym.grading.compare import equal_output, equal_values
from novicegym.grading.python.encoder import MAX_DEPTH, encode

ROOM = 1_000_000
keys = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.binary(),
        st.complex_numbers(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)
    ),
    max_leaves=5,
)
values = st.recursive(
    keys,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.sets(keys, max_size=4),
    ),
    max_leaves=12,
)


def carry(value: Any, room: int = ROOM) -> Any:
    return decode(json.loads(encode(value, room)))


@given(values)
def test_canonical_text_brings_back_an_equal_value_of_the_same_types(value: Any) -> None:
    carried = carry(value)
    assert equal_values(carried, value, types="strict")
    assert encode(carried, ROOM) == encode(value, ROOM)


@given(values)
def test_canonical_text_is_one_line_of_ascii(value: Any) -> None:
    text = encode(value, ROOM)
    assert text.isascii()
    assert "\n" not in text


@given(values, st.integers(1, 60))
def test_canonical_text_stays_within_its_room_or_says_so(value: Any, room: int) -> None:
    text = encode(value, room)
    assert len(text) <= room or text == '["o","too large"]'


@given(st.recursive(st.none() | st.text() | st.floats() | st.integers(), st.lists))
def test_decode_of_any_json_gives_a_value_or_a_value_error(tree: Any) -> None:
    try:
        decode(tree)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (3, 3.0),
        (3.0, 3),
        ([1, (2, "a")], [1.0, (2, "a")]),
        ({1, 2}, {2.0, 1}),
        ({"a": [1], "b": 2}, {"b": 2, "a": [1]}),
        (math.nan, math.nan),
        ([math.nan], [math.nan]),
        ({(1, math.nan)}, {(1, math.nan)}),
        (10**400, 10**400),
        (0.0, -0.0),
        (3, 3 + 0j),
    ],
)
def test_equal(actual: Any, expected: Any) -> None:
    assert equal_values(actual, expected)
    assert equal_values(carry(actual), expected)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (True, 1),
        (0, False),
        ([1], (1,)),
        ("a", b"a"),
        ("1", 1),
        (None, 0),
        (None, False),
        ([], None),
        ({1: 2}, {True: 2}),
        ({1}, {True}),
        ({1}, frozenset({1})),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 1, "b": 2}),
        (10**400, 1e308),
        (math.inf, 1e308),
        (Opaque("generator"), "<generator>"),
        ("", None),
    ],
)
def test_not_equal(actual: Any, expected: Any) -> None:
    assert not equal_values(actual, expected, tolerance=0.01)
    assert not equal_values(expected, actual, tolerance=0.01)


def test_strict_types_tell_an_int_from_a_float() -> None:
    assert not equal_values(3, 3.0, types="strict")
    assert not equal_values([{"a": 3}], [{"a": 3.0}], types="strict")
    assert not equal_values({3}, {3.0}, types="strict")
    assert equal_values([3.0], [3.0], types="strict")


def test_python_types_take_a_bool_for_its_number_at_any_depth() -> None:
    assert equal_values(False, 0, types="python")
    assert equal_values([{"a": True}, {1}], [{"a": 1.0}, {True}], types="python")
    assert not equal_values(True, 2, types="python")
    assert not equal_values([1], (1,), types="python")
    assert not equal_values(False, 0)


def test_tolerance_counts_at_any_depth() -> None:
    assert equal_values({"a": [0.1 + 0.2]}, {"a": [0.3]}, tolerance=1e-9)
    assert not equal_values({"a": [0.1 + 0.2]}, {"a": [0.3]})
    assert equal_values({0.1 + 0.2, 7}, {0.3, 7}, tolerance=1e-9)
    assert not equal_values(1.02, 1.0, tolerance=0.01)
    assert equal_values(1.0 + 1e-12 + 2j, 1 + 2j, tolerance=1e-9)


def test_a_subclass_counts_as_the_builtin_value_it_holds() -> None:
    pair = namedtuple("pair", "a b")
    assert carry(Counter("aab")) == {"a": 2, "b": 1}
    assert carry(OrderedDict(a=1)) == {"a": 1}
    assert carry(pair(1, 2)) == (1, 2)


def test_objects_that_claim_to_equal_everything_equal_nothing() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]
        __class__ = int  # type: ignore[assignment]

    class Liar(int):
        def __eq__(self, other: object) -> bool:
            return True

        def __int__(self) -> int:
            return 6

        __hash__ = int.__hash__

    class Text(str):
        def __str__(self) -> str:
            return "right"

        def __len__(self) -> int:
            return 5

    class Rows(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter([6])

    assert isinstance(carry(Equal()), Opaque)
    assert not equal_values(carry(Equal()), 6)
    assert carry(Liar(1)) == 1
    assert carry(Text("wrong")) == "wrong"
    assert carry(Rows([1])) == [1]


@pytest.mark.parametrize("value", [range(3), iter([1]), (i for i in "a"), len, {}.keys(), object()])
def test_what_is_no_plain_value_is_opaque(value: Any) -> None:
    assert isinstance(carry(value), Opaque)


def test_cycles_and_deep_nesting_end() -> None:
    loop: list[Any] = []
    loop += [loop, loop]
    assert carry(loop, 10_000).kind == "too large"
    deep: list[Any] = []
    for _ in range(10 * MAX_DEPTH):
        deep = [deep]
    text = encode(deep, ROOM)
    assert "too deep" in text
    decode(json.loads(text))


def test_ints_beyond_the_digit_limit_are_carried() -> None:
    assert carry(10**100_000) == 10**100_000
    assert carry(-(10**100_000)) == -(10**100_000)


@pytest.mark.parametrize(
    ("actual", "expected", "equal"),
    [
        ("5\n", "5", True),
        ("5  \n\n\n", "5\n", True),
        ("a\r\nb", "a\nb\n", True),
        ("", "\n", True),
        (" 5", "5", False),
        ("a\n\nb", "a\nb", False),
        ("A", "a", False),
        ("5\n6", "5", False),
        ("1 2", "1  2", False),
    ],
)
def test_output_is_compared_line_by_line(actual: str, expected: str, equal: bool) -> None:
    assert equal_output(actual, expected) is equal
