"""How far apart programs are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.courses.similarity import CodeIndex


def code_distance(a: str, b: str) -> float:
    return float(CodeIndex([a]).distances(b)[0])


PROGRAM = "def f(x):\n    total = 0\n    for i in range(x):\n        total += i\n    return total"


def test_renaming_layout_and_comments_cost_nothing() -> None:
    other = "def f(n):  # sum\n  s=0\n  for k in range(n): s+=k\n  return s"
    assert code_distance(PROGRAM, other) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [("range", "len"), ("+=", "-="), ("0", "1"), ("0", "0.0"), ("return total", "return i + x")],
)
def test_other_builtins_operators_constants_and_results_count(old: str, new: str) -> None:
    assert 0 < code_distance(PROGRAM, PROGRAM.replace(old, new)) < 0.5


def test_a_small_change_is_nearer_than_another_program() -> None:
    other = "def f(x):\n    return sum(range(x))"
    index = CodeIndex([PROGRAM.replace("0", "1"), other])
    near, far = index.distances(PROGRAM)
    assert near < far


def test_a_slip_of_syntax_is_near_the_program_it_spoils() -> None:
    slip = PROGRAM.replace("(x):", "(x)")
    assert code_distance(slip, PROGRAM) == code_distance(PROGRAM, slip) < 0.1
    assert code_distance(slip, slip) == 0


ODD = ["", "\x00", "x = 0x" + "f" * 5000, "(" * 5000, "\ud800", "é = 'ü'", "if", "x = 1e999j"]


@given(st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=40)), min_size=1, max_size=6))
def test_any_text_has_a_distance_of_0_to_itself_and_at_most_1_to_others(texts: list[str]) -> None:
    index = CodeIndex(texts)
    for place, text in enumerate(texts):
        distances = index.distances(text)
        assert distances[place] == 0
        assert ((distances >= 0) & (distances <= 1)).all()


@given(st.sampled_from([PROGRAM, *ODD]), st.sampled_from([PROGRAM, *ODD]))
def test_distance_is_symmetric(a: str, b: str) -> None:
    assert code_distance(a, b) == code_distance(b, a)
