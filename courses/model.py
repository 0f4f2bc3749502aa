"""The nouns of novicegym: what students were asked and what they did.

Everything here is frozen data. Grades are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, overload

from novicegym.courses.suite import TestSuite
from novicegym.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Assignment:
    """One programming task, as the teacher set it."""

    id: str
    title: str
    prompt: str
    """What the student reads."""
    tests: TestSuite
    entry_point: str | None = None
    """Name of the function asked for; None for a whole program."""
    starter: str | None = None
    """Code the student is given to begin with."""
    lesson: str | None = None
    """Assignments of one lesson practise the same concepts."""
    kind: str = "lab"
    """FalconCode's scale: "skill" (1-10 lines), "lab" (10-50), "project"."""
    language: str = "python"
    concepts: tuple[str, ...] = ()
    solutions: tuple[str, ...] = ()
    """Correct programs that came with the assignment; may be empty for real logs."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One program a student handed in."""

    code: str
    at: datetime | None = None
    logged_grade: float | None = None
    """What the original grader said, in [0, 1]; None when the log does not tell."""
    logged_feedback: str | None = None


@dataclass(frozen=True, slots=True)
class Trajectory:
    """All submissions of one student to one assignment, oldest first."""

    student_id: str
    assignment_id: str
    term: str | None
    submissions: tuple[Submission, ...]

    @property
    def key(self) -> tuple[str, str]:
        """(student, assignment): unique in a course."""
        return (self.student_id, self.assignment_id)


class Trajectories(Protocol):
    """A sequence of trajectories that need not fit in memory."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice, /) -> Sequence[Trajectory]: ...
    def __iter__(self) -> Iterator[Trajectory]: ...


@dataclass(frozen=True, eq=False)
class Course:
    """A course's assignments and its students' trajectories."""

    name: str
    assignments: Mapping[str, Assignment] = field(repr=False)
    trajectories: Trajectories = field(default=(), repr=False)
    synthetic: bool = False
    """True when no human wrote the submissions."""

    def assignment(self, assignment_id: str) -> Assignment:
        """Return the assignment; raises UsageError naming the close matches."""
        try:
            return self.assignments[assignment_id]
        except KeyError:
            raise unknown_name("assignment", assignment_id, self.assignments) from None
