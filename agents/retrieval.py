"""Nearest neighbour: does what another student did next in the most similar state.

A state is one logged submission that has a successor; `logged_states` says how far apart two are.
The states of the student in the seat are never used. Where no other student has a state on the
assignment, the last code is submitted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from novicegym.agents.base import completion
from novicegym.agents.logged_states import LoggedStates
from novicegym.agents.persistence import last_code
from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.grading.grader import Grader, shared_grader
from novicegym.grading.verdict import Verdict


class RetrievalAgent:
    """Submits the successor of the nearest logged state of another student."""

    name = "retrieval"
    listens = False

    def __init__(
        self, course: Course, *, grader: Grader | None = None, fmt: DialogFormat | None = None
    ) -> None:
        self._course, self._fmt = course, fmt or DialogFormat()
        self._grader = grader
        self._logs = LogIndex(course)
        self._states: dict[str, LoggedStates] = {}

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the neighbours' next submissions; grades an assignment's log on first use."""
        return [completion(self._next_code(info), info, self._fmt) for info in infos]

    def _next_code(self, info: Mapping[str, Any]) -> str:
        assignment = self._course.assignment(info["assignment_id"])
        if assignment.id not in self._states:
            grader = self._grader or shared_grader()
            self._states[assignment.id] = LoggedStates.of(self._logs, assignment, grader, _next)
        code = last_code(self._course, info)
        states = self._states[assignment.id]
        nearest = states.nearest_first(code, info["case_bits"], info["grade"], info["student_id"])
        return states.successors[nearest[0]] if nearest else code


def _next(verdicts: Sequence[Verdict]) -> list[int | None]:
    return [*range(1, len(verdicts)), None]
