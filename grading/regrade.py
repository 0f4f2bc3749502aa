"""Grade what students submitted: their trajectories, or a whole course with our grades as logged.

A course is graded in pieces as it is read, so it need not fit in memory. A program that was graded
before comes out of the grader's cache.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import overload

from novicegym.courses.model import Course, Trajectory
from novicegym.grading.grader import Grader
from novicegym.grading.verdict import Verdict

_PIECE = 256
"""Trajectories graded in one batch while a course is read from front to back."""


def regrade(
    course: Course, grader: Grader, progress: Callable[[int], None] | None = None
) -> Course:
    """Return the course with every `logged_grade` as our grader judges.

    Lazy: a trajectory is graded when it is read. `progress` is called with the number of
    submissions graded so far in one reading from front to back.
    """
    return dataclasses.replace(course, trajectories=_Regraded(course, grader, progress))


def grade_trajectories(
    course: Course,
    trajectories: Sequence[Trajectory],
    grader: Grader,
    progress: Callable[[int], None] | None = None,
) -> list[list[Verdict]]:
    """Return the verdicts on each trajectory's submissions, graded in one batch.

    progress: called with the number of submissions graded so far.
    """
    requests = [
        (course.assignment(trajectory.assignment_id), submission.code)
        for trajectory in trajectories
        for submission in trajectory.submissions
    ]
    verdicts = iter(grader.grade_batch(requests, progress))
    return [[next(verdicts) for _ in trajectory.submissions] for trajectory in trajectories]


def until_correct(trajectory: Trajectory, verdicts: Sequence[Verdict]) -> Trajectory:
    """Return the trajectory up to its first fully correct submission, or all of it."""
    for count, verdict in enumerate(verdicts, start=1):
        if verdict.correct:
            return dataclasses.replace(trajectory, submissions=trajectory.submissions[:count])
    return trajectory


class _Regraded:
    """The trajectories of a course, graded as they are read."""

    def __init__(
        self, course: Course, grader: Grader, progress: Callable[[int], None] | None
    ) -> None:
        self._course = course
        self._grader = grader
        self._progress = progress

    def __len__(self) -> int:
        return len(self._course.trajectories)

    @overload
    def __getitem__(self, index: int, /) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice, /) -> Sequence[Trajectory]: ...
    def __getitem__(self, index: int | slice, /) -> Trajectory | Sequence[Trajectory]:
        if isinstance(index, slice):
            return self._grade(self._course.trajectories[index], None)
        return self._grade([self._course.trajectories[index]], None)[0]

    def __iter__(self) -> Iterator[Trajectory]:
        done = 0
        trajectories = iter(self._course.trajectories)
        while piece := list(itertools.islice(trajectories, _PIECE)):
            yield from self._grade(piece, functools.partial(self._report, done))
            done += sum(len(trajectory.submissions) for trajectory in piece)

    def _report(self, before: int, count: int) -> None:
        if self._progress is not None:
            self._progress(before + count)

    def _grade(
        self, piece: Sequence[Trajectory], progress: Callable[[int], None] | None
    ) -> list[Trajectory]:
        graded = grade_trajectories(self._course, piece, self._grader, progress)
        return [
            dataclasses.replace(
                trajectory,
                submissions=tuple(
                    dataclasses.replace(submission, logged_grade=float(verdict.grade))
                    for submission, verdict in zip(trajectory.submissions, verdicts, strict=True)
                ),
            )
            for trajectory, verdicts in zip(piece, graded, strict=True)
        ]
