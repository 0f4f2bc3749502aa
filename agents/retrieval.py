"""Nearest neighbour: does what another student did next in the most similar state.

A state is one logged submission that has a successor: its code and which cases it passed. The
distance of two states is the sum of two shares in [0, 1]:

- cases: the share of the suite's cases on which they differ; for a suite without cases (a
  test script) the difference of the grades;
- code: `novicegym.agents.similarity`, by AST where both parse, else by tokens.

The states of the student in the seat are never used. Equal distances go to the smaller
student id, then to the earlier submission. Where no other student has a state on the
assignment, the last code is submitted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from novicegym.agents.base import completion
from novicegym.agents.log_index import LogIndex
from novicegym.agents.persistence import last_code
from novicegym.agents.similarity import CodeIndex, Floats
from novicegym.courses.model import Assignment, Course
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.grading.grader import Grader, shared_grader


class RetrievalAgent:
    """Submits the successor of the nearest logged state of another student."""

    name = "retrieval"

    def __init__(
        self, course: Course, *, grader: Grader | None = None, fmt: DialogFormat | None = None
    ) -> None:
        self._course, self._fmt = course, fmt or DialogFormat()
        self._grader = grader
        self._logs = LogIndex(course)
        self._states: dict[str, _States] = {}

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the neighbours' next submissions; grades an assignment's log on first use."""
        return [completion(self._next_code(info), info, self._fmt) for info in infos]

    def _next_code(self, info: Mapping[str, Any]) -> str:
        assignment = self._course.assignment(info["assignment_id"])
        if assignment.id not in self._states:
            grader = self._grader or shared_grader()
            self._states[assignment.id] = _States.logged(self._logs, assignment, grader)
        code = last_code(self._course, info)
        states = self._states[assignment.id]
        nearest = states.nearest(code, info["case_bits"], info["grade"], info["student_id"])
        return code if nearest is None else states.successors[nearest]


@dataclass(frozen=True, slots=True)
class _States:
    """The logged states of one assignment that have a successor, by student and position."""

    students: npt.NDArray[np.str_]
    codes: CodeIndex
    cases: npt.NDArray[np.uint8]
    """States x cases: 1 where the state passes. A program that ran no case passes none."""
    grades: Floats
    successors: tuple[str, ...]

    @classmethod
    def logged(cls, logs: LogIndex, assignment: Assignment, grader: Grader) -> _States:
        students, codes, successors = [], [], []
        for trajectory in logs.of_assignment(assignment.id):
            submitted = [submission.code for submission in trajectory.submissions]
            students += [trajectory.student_id] * (len(submitted) - 1)
            codes += submitted[:-1]
            successors += submitted[1:]
        verdicts = grader.grade_batch([(assignment, code) for code in codes])
        width = len(assignment.tests.cases)
        return cls(
            students=np.array(students, dtype=np.str_),
            codes=CodeIndex(codes),
            cases=np.array(
                [_passed(verdict.case_bits, width) for verdict in verdicts], np.uint8
            ).reshape(len(codes), width),
            grades=np.array([float(verdict.grade) for verdict in verdicts]),
            successors=tuple(successors),
        )

    def nearest(self, code: str, case_bits: str, grade: float, student_id: str) -> int | None:
        """Return the nearest state of another student; None where there is none."""
        others = self.students != student_id
        if not others.any():
            return None
        width = self.cases.shape[1]
        if width:
            query = np.array(_passed(case_bits, width), np.uint8)
            by_cases = (self.cases != query).mean(axis=1)
        else:
            by_cases = np.abs(self.grades - grade)
        distances = by_cases + self.codes.distances(code)
        # argmin takes the first of equals, which the order of the states makes the rule's.
        return int(np.argmin(np.where(others, distances, np.inf)))


def _passed(case_bits: str, width: int) -> list[int]:
    return [int(bit) for bit in case_bits.ljust(width, "0")]
