"""The student who looks the answer up: jumps to a correct solution.

Where the assignment came with solutions it is the one nearest to the last code. Else it is
the correct program that most other students have logged (equal up to renaming); of equally
many, the one of the smallest student id. Where nobody else solved the assignment, the last
code is submitted again.

What a policy that only solves the task scores: grades of 1 and low coverage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from novicegym.agents.base import completion
from novicegym.agents.persistence import last_code
from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Course
from novicegym.courses.similarity import CodeIndex
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.grading.grader import Grader, shared_grader
from novicegym.grading.known_programs import Writers, logged_solutions, without_writer


class ReferenceAgent:
    """Submits a correct solution."""

    name = "reference"
    listens = False

    def __init__(
        self, course: Course, *, grader: Grader | None = None, fmt: DialogFormat | None = None
    ) -> None:
        self._course, self._fmt = course, fmt or DialogFormat()
        self._grader = grader
        self._logs = LogIndex(course)
        self._given: dict[str, CodeIndex] = {}
        self._logged: dict[str, list[Writers]] = {}

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return solutions; grades the log of an assignment without solutions on first use."""
        return [completion(self._solution(info), info, self._fmt) for info in infos]

    def _solution(self, info: Mapping[str, Any]) -> str:
        assignment = self._course.assignment(info["assignment_id"])
        code = last_code(self._course, info)
        if assignment.solutions:
            if assignment.id not in self._given:
                self._given[assignment.id] = CodeIndex(assignment.solutions)
            return assignment.solutions[int(np.argmin(self._given[assignment.id].distances(code)))]
        if assignment.id not in self._logged:
            grader = self._grader or shared_grader()
            self._logged[assignment.id] = logged_solutions(self._logs, assignment, grader)
        found = _most_written(self._logged[assignment.id], info["student_id"])
        return code if found is None else found


def _most_written(solutions: Sequence[Writers], student_id: str) -> str | None:
    """Return the program most students but this one wrote, in the first one's words."""
    best = min(
        filter(None, without_writer(solutions, student_id)),
        key=lambda writers: (-len(writers), next(iter(writers))),
        default=None,
    )
    return None if best is None else next(iter(best.values()))
