"""Feedback texts at their four levels."""

from __future__ import annotations

from fractions import Fraction

import pytest

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite
from novicegym.errors import UsageError
from novicegym.grading.feedback import FEEDBACK_LEVELS, grade_text, render_feedback
from novicegym.grading.grader import Grader
from novicegym.grading.verdict import CaseResult, Verdict

FUNCTION = Assignment(
    "f", "", "", TestSuite(cases=(CallCase("f(3)", 6), CallCase("f('a')", "aa", name="a text")))
)
PROGRAM = Assignment("p", "", "", TestSuite(cases=(IOCase("3\n4", "3\n4\n"), IOCase("", "none"))))


def test_none_says_nothing_of_the_verdict(grader: Grader) -> None:
    for code in ("def f(x): return 2 * x", "def f(", ""):
        assert render_feedback(grader.grade(FUNCTION, code), "none") == "Submitted."


def test_a_correct_program(grader: Grader) -> None:
    verdict = grader.grade(FUNCTION, "def f(x): return 2 * x")
    assert render_feedback(verdict, "grade") == "Grade: 100/100"
    for level in ("summary", "full"):
        assert render_feedback(verdict, level) == (  # type: ignore[arg-type]
            "Grade: 100/100\nTests passed: 2/2\nYour program is correct."
        )


def test_a_wrong_function(grader: Grader) -> None:
    code = "def f(x):\n    total = 0\n    return totl if x == 'a' else [x, {'k'}]\n"
    verdict = grader.grade(FUNCTION, code)
    assert render_feedback(verdict, "summary") == (
        "Grade: 0/100\nTests passed: 0/2\nYour program stops with an error.\n"
        "NameError: name 'totl' is not defined"
    )
    assert render_feedback(verdict, "full") == (
        "Grade: 0/100\n"
        "Tests passed: 0/2\n"
        "Your program stops with an error.\n"
        "\n"
        "Test 1 failed.\n"
        "  called: f(3)\n"
        "  expected: 6\n"
        "  got: [3, {'k'}]\n"
        "\n"
        "Test 2 (a text) failed.\n"
        "  called: f('a')\n"
        "  expected: 'aa'\n"
        "  error:\n"
        "    line 3, in f\n"
        "        return totl if x == 'a' else [x, {'k'}]\n"
        "    NameError: name 'totl' is not defined"
    )


def test_a_wrong_program(grader: Grader) -> None:
    verdict = grader.grade(PROGRAM, "import sys\nprint(sys.stdin.read().strip()[:1])\n")
    assert render_feedback(verdict, "full") == (
        "Grade: 0/100\n"
        "Tests passed: 0/2\n"
        "Your program runs, but gives a wrong answer.\n"
        "\n"
        "Test 1 failed.\n"
        "  input:\n    3\n    4\n"
        "  expected:\n    3\n    4\n"
        "  got: 3\n"
        "\n"
        "Test 2 failed.\n"
        "  expected: none\n"
        "  got: "
    )


def test_a_program_that_does_not_compile(grader: Grader) -> None:
    verdict = grader.grade(FUNCTION, "x = 1\ndef f(x) return x\n")
    assert render_feedback(verdict, "summary").splitlines()[2:] == [
        "Your program is not valid Python.",
        "SyntaxError: expected ':'",
    ]
    assert render_feedback(verdict, "full").splitlines()[2:] == [
        "Your program is not valid Python.",
        "",
        "line 2",
        "    def f(x) return x",
        "             ^",
        "SyntaxError: expected ':'",
    ]


def test_only_full_shows_what_was_expected(grader: Grader) -> None:
    assignment = Assignment("s", "", "", TestSuite(cases=(CallCase("f(3)", "secret"),)))
    verdict = grader.grade(assignment, "def f(x): return 1")
    shown = [level for level in FEEDBACK_LEVELS if "secret" in render_feedback(verdict, level)]
    assert shown == ["full"]


def test_long_feedback_is_cut() -> None:
    cases = tuple(CaseResult("", False, "logical", "f()", "e" * 2000, "a" * 2000) for _ in range(9))
    text = render_feedback(Verdict(Fraction(0), "logical", cases), "full")
    assert len(text) < 3_500
    assert text.endswith("6 more tests failed.")


@pytest.mark.parametrize(
    ("grade", "text"),
    [
        (Fraction(2, 5), "40"),
        (Fraction(2, 3), "66.7"),
        (Fraction(1), "100"),
        (Fraction(99_999, 100_000), "99.9"),
        (Fraction(1, 100_000), "0.1"),
        (Fraction(0), "0"),
    ],
)
def test_grade_text(grade: Fraction, text: str) -> None:
    assert grade_text(grade) == text


def test_an_unknown_level_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="Did you mean 'full'"):
        render_feedback(Verdict(Fraction(1), "correct"), "ful")  # type: ignore[arg-type]
