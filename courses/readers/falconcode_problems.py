"""FalconCode's problems and runs, the same for both layouts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from novicegym.courses.model import Assignment
from novicegym.courses.readers.cells import CellError, as_blank, as_number, as_text
from novicegym.courses.readers.intake import Intake, microseconds
from novicegym.courses.readers.records import RowError
from novicegym.courses.suite import TestScript, TestSuite

FULL_MARK = 100.0
LOCAL_RUN = -1


@dataclass(frozen=True, slots=True)
class Choices:
    """The user's; see `falconcode.read_falconcode`."""

    include_local_runs: bool
    include_redacted: bool
    exam_kind: bool
    original_code: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem as one row tells it."""

    id: str
    course: str
    """Id of the course that set it; may be empty."""
    prompt: str
    script: str
    """Empty when there is none."""
    max_score: float
    kind: str
    exam: bool
    concepts: tuple[str, ...]


@dataclass(slots=True)
class Problems:
    """The problems met so far, and what becomes of the runs on them."""

    choices: Choices
    intake: Intake
    _first: dict[str, Problem] = field(default_factory=dict)
    _differing: set[str] = field(default_factory=set)
    _redacted: int = 0

    def add(self, problem: Problem) -> None:
        """Take a problem; of several versions the earliest course's counts, if it has tests."""
        first = self._first.setdefault(problem.id, problem)
        if first is problem or not problem.script:
            return
        if first.script and (first.prompt, first.script) != (problem.prompt, problem.script):
            self._differing.add(problem.id)
        if not first.script or _course_order(problem.course) < _course_order(first.course):
            self._first[problem.id] = problem

    def __contains__(self, problem_id: str) -> bool:
        return problem_id in self._first

    def take_run(
        self,
        *,
        student: str,
        problem_id: str,
        term: str,
        at: datetime,
        score: float | None,
        max_score: float,
        redacted: bool,
        code: int,
    ) -> None:
        """Keep a run or leave it out; RowError for a score out of range."""
        local = score == LOCAL_RUN
        if score is not None and not local and not 0 <= score <= max_score:
            raise RowError("score", score, f"a grade out of range, 0 to {max_score:g} or -1")
        if local and not self.choices.include_local_runs:
            self.intake.leave_out("run not submitted")
        elif not self._first[problem_id].script:
            self.intake.leave_out("assignment without tests", problem_id, (student, problem_id))
        elif redacted and not self.choices.include_redacted:
            self.intake.leave_out("redacted program")
        else:
            self._redacted += redacted
            self.intake.keep(
                student=student,
                assignment=problem_id,
                code=code,
                term=term,
                order=microseconds(at),
                at=at,
                grade=None if score is None or local else score / max_score,
            )

    def tell(self) -> None:
        """Note the choices made."""
        if self._redacted:
            noun = "program is" if self._redacted == 1 else "programs are"
            self.intake.note(f"{self._redacted:,} redacted {noun} kept")
        if self._differing:
            names = ", ".join(sorted(self._differing))
            self.intake.note(
                f"{len(self._differing):,} problems have several versions of prompt or tests; "
                f"the earliest course's counts: {names}"
            )

    def assignments(self) -> dict[str, Assignment]:
        """Return the problems that have tests, by id."""
        return {
            key: self._assignment(problem)
            for key, problem in sorted(self._first.items())
            if problem.script
        }

    def _assignment(self, problem: Problem) -> Assignment:
        exam = problem.exam and self.choices.exam_kind
        assignment = Assignment(
            id=problem.id,
            title=problem.id,
            prompt=problem.prompt,
            tests=TestSuite(script=TestScript(problem.script, problem.max_score)),
            lesson=problem.id.split("_")[0],
            concepts=problem.concepts,
        )
        return replace(assignment, kind="exam" if exam else problem.kind)


def _course_order(course: str) -> tuple[int, str]:
    """Course ids are numbers in the order of the semesters."""
    return (int(course) if course.isdecimal() else 0, course)


def as_max_score(value: object) -> float:
    """Return the full mark of a problem, 100 where none is given."""
    if as_blank(value):
        return FULL_MARK
    score = as_number(value)
    if score <= 0:
        raise CellError("a full mark must be above 0")
    return score


def as_concepts(value: object) -> tuple[str, ...]:
    """Return a list of words from a list, or from its text as a CSV holds it."""
    if value is None:
        return ()
    if not isinstance(value, str):
        if not isinstance(value, Iterable):
            return ()
        return tuple(as_text(item) for item in value)
    text = as_text(value).strip()
    if text.startswith("["):
        try:
            return as_concepts(ast.literal_eval(text))
        except (ValueError, SyntaxError):
            # An array printed by numpy has no commas.
            return tuple(re.findall(r"""['"]([^'"]+)['"]""", text))
    return tuple(word.strip() for word in re.split("[,;]", text) if word.strip())
