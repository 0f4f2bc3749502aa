"""A course in numbers: the paper's Table 1 per term, and the same per assignment.

Lengths are in submissions. A trajectory succeeded when its last submission is graded 1 and
failed when it is graded less; where the log does not tell that grade it is `unknown`, never a
failure. One pass over the trajectories; nothing but ids and counters is held.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from novicegym.courses.model import Course, Trajectory


@dataclass(frozen=True, slots=True)
class StatsRow:
    """Counts over some trajectories."""

    label: str | None
    """The term or assignment; "total" for the whole course; None for trajectories of no term."""
    trajectories: int
    students: int
    succeeded: int
    failed: int
    unknown: int
    """Trajectories whose last submission has no logged grade."""
    assignments: int
    """Those with at least one trajectory."""
    submissions: int

    @property
    def mean_length(self) -> float | None:
        """Submissions per trajectory; None when there is no trajectory."""
        return self.submissions / self.trajectories if self.trajectories else None

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {
            "label": self.label,
            "trajectories": self.trajectories,
            "students": self.students,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "unknown": self.unknown,
            "assignments": self.assignments,
            "submissions": self.submissions,
            "mean_length": self.mean_length,
        }


@dataclass(frozen=True, slots=True)
class CourseStats:
    """A course in numbers."""

    course: str
    synthetic: bool
    total: StatsRow
    terms: tuple[StatsRow, ...]
    """By year and season where the terms are named so ("Fall 2024"), else by name."""
    assignments: tuple[StatsRow, ...]
    """By id; assignments without a trajectory have a row of zeros."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {
            "course": self.course,
            "synthetic": self.synthetic,
            "total": self.total.to_json(),
            "terms": [row.to_json() for row in self.terms],
            "assignments": [row.to_json() for row in self.assignments],
        }


def course_stats(course: Course) -> CourseStats:
    """Count `course` in one pass."""
    total = _Tally()
    terms: dict[str | None, _Tally] = defaultdict(_Tally)
    assignments = {key: _Tally() for key in course.assignments}
    for trajectory in course.trajectories:
        total.add(trajectory)
        terms[trajectory.term].add(trajectory)
        assignments[trajectory.assignment_id].add(trajectory)
    return CourseStats(
        course=course.name,
        synthetic=course.synthetic,
        total=total.row("total"),
        terms=tuple(terms[term].row(term) for term in sorted(terms, key=_term_order)),
        assignments=tuple(assignments[key].row(key) for key in sorted(assignments)),
    )


@dataclass(slots=True)
class _Tally:
    trajectories: int = 0
    succeeded: int = 0
    failed: int = 0
    submissions: int = 0
    students: set[str] = field(default_factory=set)
    assignments: set[str] = field(default_factory=set)

    def add(self, trajectory: Trajectory) -> None:
        self.trajectories += 1
        self.submissions += len(trajectory.submissions)
        self.students.add(trajectory.student_id)
        self.assignments.add(trajectory.assignment_id)
        grade = trajectory.submissions[-1].logged_grade if trajectory.submissions else None
        if grade is not None:
            self.succeeded += grade == 1
            self.failed += grade < 1

    def row(self, label: str | None) -> StatsRow:
        return StatsRow(
            label=label,
            trajectories=self.trajectories,
            students=len(self.students),
            succeeded=self.succeeded,
            failed=self.failed,
            unknown=self.trajectories - self.succeeded - self.failed,
            assignments=len(self.assignments),
            submissions=self.submissions,
        )


_SEASONS = ("winter", "spring", "summer", "fall", "autumn")


def _term_order(term: str | None) -> tuple[int, int, str]:
    """Years in order, seasons within them, terms named otherwise next, no term last."""
    if term is None:
        return (10_000, 1, "")
    match = re.fullmatch(r"([a-z]+) (\d{4})", term.lower())
    if match is None or match[1] not in _SEASONS:
        return (10_000, 0, term)
    return (int(match[2]), _SEASONS.index(match[1]), term)
