"""The student who never changes a thing: resubmits her last code.

Consecutive submissions are much alike, so this is the baseline that similarity must beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from novicegym.agents.base import completion
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat


class PersistenceAgent:
    """Resubmits the last code; before the first submission, the assignment's starter code."""

    name = "persistence"
    listens = False

    def __init__(self, course: Course, *, fmt: DialogFormat | None = None) -> None:
        self._course, self._fmt = course, fmt or DialogFormat()

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the last code again, once per dialog."""
        return [completion(last_code(self._course, info), info, self._fmt) for info in infos]


def last_code(course: Course, info: Mapping[str, Any]) -> str:
    """Return the code in front of the student: her last submission or what she was given."""
    return info["code"] or course.assignment(info["assignment_id"]).starter or ""
