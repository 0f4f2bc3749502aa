"""Some trajectories of a course, and of each some submissions, without copying them.

A `Selection` is what curation steps and splits pass along: per kept trajectory its index in
the base course and the positions of the kept submissions. Code stays in the base course and
is read again when somebody asks for it, so a selection of 10^6 submissions in 10^5
trajectories takes some 30 MB whatever the programs' length.

Not covered: reordering; a selection keeps the order of its base.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

from novicegym.courses.model import Assignment, Course, Trajectories, Trajectory


@dataclass(frozen=True, slots=True)
class Pick:
    """One kept trajectory of the base course."""

    index: int
    """Its place in the base course's trajectories."""
    student_id: str
    assignment_id: str
    term: str | None
    kept: Sequence[int]
    """Positions of the kept submissions, ascending; never empty in a selection."""


class SelectedTrajectories(Sequence[Trajectory]):
    """The picked trajectories, read from the base when asked for."""

    def __init__(self, base: Trajectories, picks: Sequence[Pick]) -> None:
        self._base, self._picks = base, picks

    def __len__(self) -> int:
        return len(self._picks)

    @overload
    def __getitem__(self, index: int) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Trajectory]: ...
    def __getitem__(self, index: int | slice) -> Trajectory | Sequence[Trajectory]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        pick = self._picks[index]
        return _cut(self._base[pick.index], pick)

    def __iter__(self) -> Iterator[Trajectory]:
        # One walk through the base: a stored course streams, and seeks are slower than skips.
        wanted = iter(self._picks)
        pick = next(wanted, None)
        for index, trajectory in enumerate(self._base):
            if pick is None:
                return
            if index == pick.index:
                yield _cut(trajectory, pick)
                pick = next(wanted, None)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is left of a course."""

    base: Course
    assignments: Mapping[str, Assignment]
    """The assignments still allowed; some may have no trajectory."""
    picks: Sequence[Pick]
    """Ascending by index."""

    @classmethod
    def everything(cls, course: Course) -> Selection:
        """Select all of `course`, in one pass. Trajectories without a submission are left out."""
        picks = [
            Pick(index, t.student_id, t.assignment_id, t.term, range(len(t.submissions)))
            for index, t in enumerate(course.trajectories)
            if t.submissions
        ]
        return cls(course, course.assignments, picks)

    @property
    def trajectories(self) -> SelectedTrajectories:
        """The kept trajectories with their kept submissions."""
        return SelectedTrajectories(self.base.trajectories, self.picks)

    def course(self) -> Course:
        """Return the selection as a course; it reads from the base course."""
        return replace(self.base, assignments=self.assignments, trajectories=self.trajectories)

    def with_picks(self, picks: Iterable[Pick]) -> Selection:
        """Return a selection of these picks."""
        return replace(self, picks=list(picks))

    def with_assignments(self, ids: Iterable[str]) -> Selection:
        """Return a selection without the assignments, and their trajectories, not in `ids`."""
        allowed = set(ids)
        assignments = {key: value for key, value in self.assignments.items() if key in allowed}
        picks = [pick for pick in self.picks if pick.assignment_id in allowed]
        return replace(self, assignments=assignments, picks=picks)


def _cut(trajectory: Trajectory, pick: Pick) -> Trajectory:
    if len(pick.kept) == len(trajectory.submissions):
        return trajectory
    return replace(
        trajectory, submissions=tuple(trajectory.submissions[position] for position in pick.kept)
    )
