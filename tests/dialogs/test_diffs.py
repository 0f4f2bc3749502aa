"""Diffs: exact when ours, forgiving when a model's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.dialogs.diffs import apply_diff, make_diff, small_diff

LINES = st.lists(
    st.sampled_from(
        ["a", "b", "  b", "b ", "", " ", "\r", "-x", "+x", "@@ -1 +1 @@", "\\", "--- a"]
    )
).map("\n".join)
TEXTS = st.one_of(LINES, st.text())

PROGRAM = "".join(f"line{n} = {n}\n" for n in range(1, 21))


@given(TEXTS, TEXTS)
def test_our_diff_turns_one_text_into_the_other_exactly(previous: str, code: str) -> None:
    assert apply_diff(previous, make_diff(previous, code)) == code


@given(TEXTS, TEXTS)
def test_any_text_is_a_diff_that_applies_or_not(previous: str, diff: str) -> None:
    assert isinstance(apply_diff(previous, diff), str | None)


@given(TEXTS, st.data())
def test_a_small_diff_is_less_than_half_the_program(previous: str, data: st.DataObject) -> None:
    code = data.draw(st.sampled_from([previous, previous + "\nx", "x\n" + previous, "x"]))
    diff = small_diff(previous, code)
    if diff is not None:
        assert 0 < 2 * len(diff) < len(code)
        assert apply_diff(previous, diff) == code


def changed(*numbers: int) -> str:
    """PROGRAM with these lines changed."""
    lines = PROGRAM.split("\n")
    return "\n".join("new" if n + 1 in numbers else line for n, line in enumerate(lines))


def test_few_changes_are_a_diff_and_many_a_program() -> None:
    assert small_diff(PROGRAM, changed(10)) == (
        "@@ -8,5 +8,5 @@\n line8 = 8\n line9 = 9\n-line10 = 10\n+new\n line11 = 11\n line12 = 12"
    )
    assert small_diff(PROGRAM, PROGRAM) is None
    assert small_diff(PROGRAM, changed(*range(1, 21))) is None
    longer = PROGRAM * 5
    assert small_diff(longer, longer.replace("line7", "line_7")) is None  # five hunks


@pytest.mark.parametrize(
    "diff",
    [
        "@@ -9,3 +9,3 @@\n line9 = 9\n-line10 = 10\n+new\n line11 = 11",
        "@@ -1,3 +1,3 @@\n line9 = 9\n-line10 = 10\n+new\n line11 = 11",
        "@@ -900,3 +900,3 @@\n line9 = 9\n-line10 = 10\n+new\n line11 = 11",
        "@@ ... @@\n line9 = 9\n-line10 = 10\n+new",
        "@@\n-line10 = 10\n+new",
        "-line10 = 10\n+new",
        " line9 = 9\n-line10 = 10\n+new",
        "--- a/x.py\n+++ b/x.py\n@@ -10 +10 @@\n-line10 = 10\n+new\n",
        "--- a/x.py\n+++ b/x.py\n-line10 = 10\n+new\n",
        "diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n@@ -10 +10 @@ f():\n-line10 = 10\n+new",
        "@@ -10 +10 @@\n-line10 = 10   \n+new\n\n\n",
        "@@ -10 +10 @@\r\n-line10 = 10\r\n+new",
        "@@ -9,2 +9,2 @@\nline9 = 9\n-line10 = 10\n+new",
        "@@ -9,2 +9,2 @@\n     line9 = 9\n-line10 = 10\n+new",
        "@@ -8,5 +8,5 @@\n line8 = wrong\n line9 = 9\n-line10 = 10\n+new\n line11 = 11\n wrong",
        "@@ -10 +10 @@\n-line10 = 10\n\\ No newline at end of file\n+new",
    ],
)  # fmt: skip
def test_a_sloppy_diff_applies(diff: str) -> None:
    assert apply_diff(PROGRAM, diff) == changed(10)


def test_white_space_lost_by_the_model_stays_in_unchanged_lines() -> None:
    assert apply_diff("a  \r\nb\r\n", " a\n-b\n+c") == "a  \r\nc\n"


def test_a_blank_context_line_may_lose_its_mark() -> None:
    assert apply_diff("a\n\nb\n", "@@ -1,3 +1,3 @@\n a\n\n-b\n+c") == "a\n\nc\n"


def test_of_equal_places_the_one_nearest_to_the_stated_line_is_taken() -> None:
    program = "x\na\ny\na\nz\na\n"
    assert apply_diff(program, "@@ -5 +5 @@\n-a\n+b") == "x\na\ny\na\nz\nb\n"
    assert apply_diff(program, "@@ -7 +7 @@\n-a\n+b") == "x\na\ny\na\nz\nb\n"
    assert apply_diff(program, "@@ -1 +1 @@\n-a\n+b") == "x\nb\ny\na\nz\na\n"


def test_lines_are_added_at_the_stated_line_or_the_end() -> None:
    assert apply_diff("a\nb\n", "@@ -1,0 +2 @@\n+x") == "a\nx\nb\n"
    assert apply_diff("a\nb\n", "+x") == "a\nb\nx\n"
    assert apply_diff("a\nb", "+x") == "a\nb\nx"
    assert apply_diff("", "@@ -0,0 +1,2 @@\n+x\n+y") == "x\ny\n"


@pytest.mark.parametrize(
    "diff",
    [
        "@@ -10 +10 @@\n-line99 = 10\n+new",
        "@@ -10 +10 @@\n-line10 = 10\n+new\n@@ -15 +15 @@\n-line99 = 15\n+new",
        "@@ -15 +15 @@\n-line15 = 15\n+new\n@@ -10 +10 @@\n-line10 = 10\n+new",
        "@@ -1,2 +1,2 @@\n line1 = 1\n line2 = 2",
        "no diff at all",
    ],
)
def test_a_hunk_without_a_place_makes_the_whole_diff_fail(diff: str) -> None:
    assert apply_diff(PROGRAM, diff) is None
