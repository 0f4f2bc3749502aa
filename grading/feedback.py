"""What a student reads after a submission: a verdict as text, at four levels.

    none      "Submitted.", whatever the verdict
    grade     the grade on the scale of 100
    summary   also how many tests passed, and what kind of mistake it is
    full      also the first failed tests: what was run, what was expected, what came out;
              of a test script, what the script printed

Deterministic: the same verdict gives the same text everywhere. No paths, no memory addresses.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, TypeAlias, get_args

from novicegym.errors import unknown_name
from novicegym.grading.verdict import CaseResult, Outcome, Verdict

FeedbackLevel: TypeAlias = Literal["none", "grade", "summary", "full"]

FEEDBACK_LEVELS: tuple[FeedbackLevel, ...] = get_args(FeedbackLevel)

CASES_SHOWN = 3
"""Failed tests that `full` shows; the rest is counted."""
_VALUE_CHARS = 400
_TOTAL_CHARS = 6_000

_KINDS: dict[Outcome, str] = {
    "correct": "Your program is correct.",
    "logical": "Your program runs, but gives a wrong answer.",
    "runtime": "Your program stops with an error.",
    "compile": "Your program is not valid Python.",
    "timeout": "Your program takes too long. It may be in a loop that does not end.",
    "memory": "Your program uses too much memory.",
    "refused": "Your program could not be graded.",
}


def render_feedback(verdict: Verdict, level: FeedbackLevel) -> str:
    """Return the feedback text. Raises UsageError for a level that does not exist."""
    if level == "none":
        return "Submitted."
    if level not in FEEDBACK_LEVELS:
        raise unknown_name("feedback level", level, FEEDBACK_LEVELS)
    lines = [f"Grade: {grade_text(verdict.grade)}/100"]
    if level == "grade":
        return lines[0]
    if verdict.cases:
        passed = sum(case.passed for case in verdict.cases)
        lines.append(f"Tests passed: {passed}/{len(verdict.cases)}")
    lines.append(_KINDS[verdict.outcome])
    lines += _mistake(verdict) if level == "summary" else _details(verdict)
    return _cut("\n".join(lines), _TOTAL_CHARS)


def grade_text(grade: Fraction) -> str:
    """Return the grade on the scale of 100 with at most one decimal; "100" only for 1 itself."""
    tenths = round(grade * 1000)
    if grade < 1:
        tenths = min(tenths, 999)
    if grade > 0:
        tenths = max(tenths, 1)
    return f"{tenths // 10}" if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}"


def _mistake(verdict: Verdict) -> list[str]:
    """Return the last line of the first error: its type and message."""
    texts = [verdict.message] if verdict.outcome == "compile" else []
    texts += [case.error for case in verdict.cases if case.outcome == verdict.outcome]
    error = next((text for text in texts if text), "")
    return [_cut(error.splitlines()[-1], _VALUE_CHARS)] if error else []


def _details(verdict: Verdict) -> list[str]:
    lines = []
    if verdict.message:
        lines += ["", verdict.message.rstrip()]
    if verdict.outcome == "compile":
        return lines
    failed = [(number, c) for number, c in enumerate(verdict.cases, 1) if not c.passed]
    tells = [(number, c) for number, c in failed if c.error or c.actual or not verdict.message]
    for number, case in tells[:CASES_SHOWN]:
        lines += ["", *_case(number, case)]
    more = len(tells) - CASES_SHOWN
    if more > 0:
        lines += ["", f"{more} more {'test' if more == 1 else 'tests'} failed."]
    return lines


def _case(number: int, case: CaseResult) -> list[str]:
    has_name = case.name not in ("", f"test {number}")
    lines = [f"Test {number} ({case.name}) failed." if has_name else f"Test {number} failed."]
    reads_stdin = not case.call or case.call.endswith("\n")
    if not reads_stdin:
        lines += _labelled("called", case.call)
    elif case.call:
        lines += _labelled("input", case.call)
    lines += _labelled("expected", case.expected)
    if case.actual or not case.error:
        lines += _labelled("got", case.actual or "(nothing)")
    if case.error:
        lines += _labelled("error", case.error)
    return lines


def _labelled(label: str, text: str) -> list[str]:
    text = _cut(text, _VALUE_CHARS) if label != "error" else text
    rows = text.rstrip("\n").split("\n")
    if len(rows) == 1:
        return [f"  {label}: {rows[0]}"]
    return [f"  {label}:", *(f"    {row}" for row in rows)]


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 4] + " ..."
