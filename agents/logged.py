"""The student herself: plays back what the log says she did next.

The upper bound of every similarity and the check that the environment replays the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from novicegym.agents.base import completion
from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.errors import UsageError


class LoggedAgent:
    """Submits the logged student's own next submission; after her last one, that one again."""

    name = "logged"
    listens = False

    def __init__(self, course: Course, *, fmt: DialogFormat | None = None) -> None:
        self._course, self._fmt = course, fmt or DialogFormat()
        self._logs = LogIndex(course)

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the logged next submissions. UsageError where no logged student plays."""
        return [completion(self._next_code(info), info, self._fmt) for info in infos]

    def _next_code(self, info: Mapping[str, Any]) -> str:
        student_id, assignment_id = info["student_id"], info["assignment_id"]
        trajectory = self._logs.trajectory(student_id, assignment_id)
        if trajectory is None:
            raise UsageError(
                f"the logged agent replays logs, and course {self._course.name!r} has none of "
                f"student {student_id!r} on {assignment_id!r}"
            )
        following: int = info["position"] + info["step"]
        return trajectory.submissions[min(following, len(trajectory.submissions) - 1)].code
