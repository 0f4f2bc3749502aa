"""The tutor who restates the first failed test in words.

It says what the feedback level "full" shows anyway, of one test and in one or two sentences: what
was run, what was expected, what came out instead; of an error its kind, its words and its line.
At a lower level of feedback it tells more than the student was shown.

Covered: calls, programs that read and print, test scripts, programs that do not compile, errors,
limits; any output of the student's program. Not covered: why it is wrong, or where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from novicegym.agents.tutors.states import State, has_failed
from novicegym.agents.tutors.words import joined, printable
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog
from novicegym.grading.grader import Grader, shared_grader
from novicegym.grading.verdict import CaseResult, Verdict

_VALUE = 80
"""Characters shown of a value or of a row of output."""
_ERROR = 160
_LINE = re.compile(r"line (\d{1,6})(?:, in .*)?$")
_ROWS = 6
"""Rows shown of an input; the rest is counted."""


class FeedbackTutor:
    """Restates the first failed test of the last submission.

    Knows: the last submission's verdict, teacher's expected values of the failed test included.
    Does not know: any solution, any student's log, what was submitted before.
    """

    name = "feedback"

    def __init__(self, course: Course, *, grader: Grader | None = None) -> None:
        """grader: gives the verdicts, mostly from its cache; None for the shared one."""
        self._course, self._grader = course, grader

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[State]) -> list[str]:
        """Return one message per state; all verdicts are asked for at once."""
        failed = [info for info in infos if has_failed(info)]
        grader = self._grader or shared_grader()
        verdicts = iter(
            grader.grade_batch(
                [(self._course.assignment(info["assignment_id"]), info["code"]) for info in failed]
            )
        )
        return [restate(next(verdicts)) if has_failed(info) else "" for info in infos]


def restate(verdict: Verdict) -> str:
    """Return what a verdict says of the first failed test; "" where nothing failed."""
    if verdict.correct:
        return ""
    if not verdict.cases:
        return _script_says(verdict.message)
    if verdict.outcome == "compile":
        return f"Your program cannot be run yet. {_error(verdict.message)}"
    failed = next(case for case in verdict.cases if not case.passed)
    if verdict.message and not (failed.actual or failed.error):
        return f"The grader says: {_first_row(verdict.message)}"
    return f"{_run(failed)} {_result(failed)}"


def error_line(verdict: Verdict) -> int | None:
    """Return the 1-based line that a program which does not compile is refused for."""
    found = _LINE.match(verdict.message.partition("\n")[0])
    return int(found[1]) if found and verdict.outcome == "compile" else None


def _script_says(message: str) -> str:
    """Return the first row of a test script's own, or what the program stops with before it."""
    before, heading, feedback = message.rpartition("\nFeedback:\n")
    _, stopped, error = before.rpartition("\nError Occurred:\n")
    if stopped:
        return f"Your program stops with an error. {_error(error)}"
    row = _first_row(feedback if heading else message)
    return f"The grader says: {row}" if row else ""


def _first_row(text: str) -> str:
    row = next((row for row in text.split("\n") if row.strip()), "")
    return printable(row.strip(), _ERROR)


def _run(case: CaseResult) -> str:
    if case.call and not case.call.endswith("\n"):
        return f"The call {printable(case.call, _VALUE)}"
    rows = case.call.rstrip("\n").split("\n") if case.call else []
    if not rows:
        return "Run without any input, your program"
    shown = [f'"{printable(row, _VALUE)}"' for row in rows[:_ROWS]]
    if len(rows) > _ROWS:
        shown.append(f"{len(rows) - _ROWS} more rows")
    return f"With the input {joined(shown)}, your program"


def _result(case: CaseResult) -> str:
    if case.outcome == "timeout":
        return "does not come to an end in time."
    if case.outcome == "memory":
        return "needs too much memory."
    if case.outcome == "refused":
        return "could not be graded."
    if case.error:
        return f"stops with an error. {_error(case.error)}"
    if case.call and not case.call.endswith("\n"):
        expected, actual = printable(case.expected, _VALUE), printable(case.actual, _VALUE)
        return f"should give {expected}, but gives {actual or 'nothing'}."
    return _output(_rows(case.expected), _rows(case.actual))


def _output(expected: Sequence[str], actual: Sequence[str]) -> str:
    if not actual and expected:
        return f'should print "{printable(expected[0], _VALUE)}", but prints nothing.'
    for number, wanted in enumerate(expected, start=1):
        row = "" if len(expected) == 1 else f" as row {number} of its output"
        if number > len(actual):
            return f'should print "{printable(wanted, _VALUE)}"{row}, but has stopped before it.'
        if actual[number - 1] != wanted:
            printed = printable(actual[number - 1], _VALUE)
            return f'should print "{printable(wanted, _VALUE)}"{row}, but prints "{printed}".'
    if len(actual) > len(expected):
        extra = printable(actual[len(expected)], _VALUE)
        return f'should print nothing more at the end, but prints "{extra}".'
    return "does not print what it should."


def _rows(text: str) -> list[str]:
    """Return the rows of an output as they are compared."""
    return [row.rstrip() for row in text.rstrip().split("\n")] if text.strip() else []


def _error(text: str) -> str:
    """Return the line and the last words of a traceback or of what the compiler says."""
    rows = text.rstrip().split("\n")
    said = printable(rows[-1].strip(), _ERROR)
    lines = [found[1] for row in rows[:-1] if (found := _LINE.match(row))]
    return f"Python stops at line {lines[-1]}: {said}" if lines else f"Python says: {said}"
