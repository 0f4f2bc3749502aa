"""The correct programs that are known for an assignment: given with it, or logged and graded.

Programs that are equal up to renaming are one. Whoever asks for a student is told nothing that
comes from that student's own log: neither her programs nor how she wrote them. What a message
shows is graded, too: a correct program is one, however unlike the others.

Covered: logs with or without grades; what a log calls correct is graded all the same. Not
covered: programs that pass the tests and are wrong all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Assignment, Course
from novicegym.courses.similarity import CodeIndex
from novicegym.courses.syntax import ast_key
from novicegym.grading.grader import Grader, shared_grader
from novicegym.grading.verdict import Verdict

MOST_PROGRAMS = 40
"""Correct programs of other students that a leak is looked for in, the nearest."""
MOST_SHOWN = 20
"""Programs in one message that are graded."""

Writers: TypeAlias = dict[str, str]
"""One correct program, up to renaming: by student id, ascending, how she wrote it first."""


def logged_solutions(logs: LogIndex, assignment: Assignment, grader: Grader) -> list[Writers]:
    """Grade the logs of an assignment and return the correct programs in them."""
    return list(_by_key(logs, assignment, grader).values())


def without_writer(solutions: Sequence[Writers], student_id: str) -> list[Writers]:
    """Return the programs as all students but this one wrote them; some may have no writer."""
    return [
        {writer: code for writer, code in writers.items() if writer != student_id}
        for writers in solutions
    ]


@dataclass(frozen=True, slots=True)
class _Logged:
    writers: list[Writers]
    index: CodeIndex
    """Of one text each. How a program's names are chosen makes no difference."""


class KnownPrograms:
    """The correct programs that a student of a course could be told."""

    def __init__(self, course: Course, grader: Grader | None = None) -> None:
        """course: with the logs of other students. grader: None for the shared one."""
        self._logs, self._grader = LogIndex(course), grader
        self._logged: dict[str, _Logged] = {}

    def for_student(
        self, assignment: Assignment, student_id: str, code: str, shown: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Return the assignment's solutions, and of those that others logged the nearest to `code`.

        Those are `MOST_PROGRAMS`, or all where there are fewer. shown: programs that the student is
        being shown, of which the correct ones among the first `MOST_SHOWN` are known from now on,
        whoever wrote them. On first use of an assignment all are graded that the log does not
        call wrong.
        """
        logged = self._of(assignment)
        others = without_writer(logged.writers, student_id)
        distances = logged.index.distances(code)
        # By the text, not by the place: the places depend on the log of the student who asks.
        found = sorted(
            (float(distances[place]), next(iter(writers.values())))
            for place, writers in enumerate(others)
            if writers
        )
        programs = list(dict.fromkeys(shown))[:MOST_SHOWN]
        verdicts = self._grade([(assignment, program) for program in programs])
        return (
            *assignment.solutions,
            *(text for _, text in found[:MOST_PROGRAMS]),
            *(one for one, verdict in zip(programs, verdicts, strict=True) if verdict.correct),
        )

    def _grade(self, requests: Sequence[tuple[Assignment, str]]) -> Sequence[Verdict]:
        if not requests:
            return []
        return (self._grader or shared_grader()).grade_batch(requests)

    def _of(self, assignment: Assignment) -> _Logged:
        if assignment.id not in self._logged:
            grader = self._grader if self._grader is not None else shared_grader()
            found = _by_key(self._logs, assignment, grader, hopeless=False)
            texts = [next(iter(writers.values())) for writers in found.values()]
            self._logged[assignment.id] = _Logged(list(found.values()), CodeIndex(texts))
        return self._logged[assignment.id]


def _by_key(
    logs: LogIndex, assignment: Assignment, grader: Grader, hopeless: bool = True
) -> dict[str, Writers]:
    """Return the correct programs; hopeless: try those, too, that the log calls wrong."""
    written = [
        (trajectory.student_id, submission.code)
        for trajectory in logs.of_assignment(assignment.id)
        for submission in trajectory.submissions
        if hopeless or submission.logged_grade in (None, 1)
    ]
    verdicts = grader.grade_batch([(assignment, code) for _, code in written])
    solutions: dict[str, Writers] = {}
    for (student_id, code), verdict in zip(written, verdicts, strict=True):
        if verdict.correct:
            solutions.setdefault(ast_key(code, "alpha"), {}).setdefault(student_id, code)
    return solutions
