"""The logged states of an assignment, and which of them are nearest to a student's.

A state is one logged submission for which a successor is chosen: its code and which cases it
passed. The distance of two states is the sum of two shares in [0, 1]:

- cases: the share of the suite's cases on which they differ; for a suite without cases (a
  test script) the difference of the grades;
- code: `novicegym.courses.similarity`, by AST where both parse, else by tokens.

The states of the student who asks are never used. Equal distances go to the smaller student id,
then to the earlier submission.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Assignment
from novicegym.courses.similarity import CodeIndex, Floats
from novicegym.grading.grader import Grader
from novicegym.grading.verdict import Verdict

Choose: TypeAlias = Callable[[Sequence[Verdict]], Sequence[int | None]]
"""Takes the verdicts of one log; returns for each submission the place of its successor, or None
where it is to be no state."""


@dataclass(frozen=True, slots=True)
class LoggedStates:
    """The states of one assignment, by student and position."""

    students: npt.NDArray[np.str_]
    codes: tuple[str, ...]
    successors: tuple[str, ...]
    index: CodeIndex
    cases: npt.NDArray[np.uint8]
    """States x cases: 1 where the state passes. A program that ran no case passes none."""
    grades: Floats

    @classmethod
    def of(
        cls, logs: LogIndex, assignment: Assignment, grader: Grader, choose: Choose
    ) -> LoggedStates:
        """Grade the logs of an assignment and return the states that `choose` leaves."""
        trajectories = logs.of_assignment(assignment.id)
        requests = [
            (assignment, submission.code)
            for trajectory in trajectories
            for submission in trajectory.submissions
        ]
        coming = iter(grader.grade_batch(requests))
        students, codes, successors = [], [], []
        verdicts = []
        for trajectory in trajectories:
            judged = [next(coming) for _ in trajectory.submissions]
            for place, following in enumerate(choose(judged)):
                if following is not None:
                    students.append(trajectory.student_id)
                    codes.append(trajectory.submissions[place].code)
                    successors.append(trajectory.submissions[following].code)
                    verdicts.append(judged[place])
        width = len(assignment.tests.cases)
        return cls(
            students=np.array(students, dtype=np.str_),
            codes=tuple(codes),
            successors=tuple(successors),
            index=CodeIndex(codes),
            cases=np.array(
                [_passed(verdict.case_bits, width) for verdict in verdicts], np.uint8
            ).reshape(len(codes), width),
            grades=np.array([float(verdict.grade) for verdict in verdicts]),
        )

    def nearest_first(self, code: str, case_bits: str, grade: float, student_id: str) -> list[int]:
        """Return the places of other students' states, the nearest first."""
        [others] = np.nonzero(self.students != student_id)
        width = self.cases.shape[1]
        if width:
            query = np.array(_passed(case_bits, width), np.uint8)
            by_cases = (self.cases != query).mean(axis=1)
        else:
            by_cases = np.abs(self.grades - grade)
        distances = by_cases + self.index.distances(code)
        # Stable: equals keep the order of the states, which makes it the rule's.
        order = np.argsort(distances[others], kind="stable")
        return [int(place) for place in others[order]]


def _passed(case_bits: str, width: int) -> list[int]:
    return [int(bit) for bit in case_bits.ljust(width, "0")]
