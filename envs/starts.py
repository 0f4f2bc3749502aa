"""Where episodes may begin: named by the caller, sampled, or all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from novicegym.courses.model import Course, Trajectory
from novicegym.envs.episode import Start
from novicegym.errors import UsageError

_KNOWN_OPTIONS = {"trajectory", "position", "assignment", "student"}
# Sampling first tries this often to hit a trajectory that is long enough, then looks at all:
# that needs no index of lengths, so a course on disk is not read through for one episode.
_TRIES = 64


def resolve_start(course: Course, options: Mapping[str, Any]) -> Start:
    """Return the start named by reset options; UsageError for what does not exist."""
    unknown = sorted(set(options) - _KNOWN_OPTIONS)
    if unknown:
        raise UsageError(f"unknown reset options {unknown}; known: {sorted(_KNOWN_OPTIONS)}")
    if "trajectory" in options:
        extra = sorted({"assignment", "student"} & set(options))
        if extra:
            raise UsageError(f"'trajectory' already says which {' and '.join(extra)}; drop it")
        trajectory = find_trajectory(course, options["trajectory"])
        position = options.get("position", 0)
        if not isinstance(position, (int, np.integer)):
            raise UsageError(f"'position' is a number of submissions, got {position!r}")
        return Start.at(course, trajectory, int(position))
    if "assignment" not in options:
        raise UsageError("reset options must name a 'trajectory' or an 'assignment'")
    if options.get("position"):
        raise UsageError("'position' goes with 'trajectory': free play begins with no submission")
    return Start(course.assignment(str(options["assignment"])), str(options.get("student", "")))


def find_trajectory(course: Course, which: int | tuple[str, str]) -> Trajectory:
    """Return the trajectory with this index or (student, assignment)."""
    count = len(course.trajectories)
    if isinstance(which, (int, np.integer)):
        if not 0 <= which < count:
            raise UsageError(
                f"trajectory must be 0 to {count - 1} in course {course.name!r}, got {which}"
            )
        return course.trajectories[int(which)]
    if not isinstance(which, (tuple, list)) or len(which) != 2:
        raise UsageError(f"'trajectory' is an index or (student, assignment), got {which!r}")
    student, assignment = which
    for trajectory in course.trajectories:
        if trajectory.key == (student, assignment):
            return trajectory
    raise UsageError(
        f"course {course.name!r} has no trajectory of student {student!r} on {assignment!r}"
    )


def sample_start(course: Course, rng: np.random.Generator, min_position: int = 1) -> Start:
    """Draw a trajectory, then a position of at least `min_position`, both uniformly.

    At least two logged submissions follow a sampled start, so that an episode can go on
    after its first step; a course without such a trajectory gives starts with one.
    """
    count = len(course.trajectories)
    if count == 0:
        raise UsageError(
            f"course {course.name!r} has no trajectories to sample; "
            "use reset(options={'assignment': ...}) for free play"
        )
    for ahead in (2, 1):
        for _ in range(_TRIES):
            trajectory = course.trajectories[int(rng.integers(count))]
            if len(trajectory.submissions) >= min_position + ahead:
                return _draw_position(course, trajectory, rng, min_position, ahead)
        eligible = [
            index
            for index, trajectory in enumerate(course.trajectories)
            if len(trajectory.submissions) >= min_position + ahead
        ]
        if eligible:
            trajectory = course.trajectories[eligible[int(rng.integers(len(eligible)))]]
            return _draw_position(course, trajectory, rng, min_position, ahead)
    raise UsageError(
        f"course {course.name!r} has no trajectory longer than min_position={min_position}"
    )


def _draw_position(
    course: Course,
    trajectory: Trajectory,
    rng: np.random.Generator,
    min_position: int,
    ahead: int,
) -> Start:
    position = int(rng.integers(min_position, len(trajectory.submissions) - ahead + 1))
    return Start.at(course, trajectory, position)


def all_starts(course: Course, trajectory: Trajectory, min_position: int) -> Iterator[Start]:
    """Yield the start at every position t >= `min_position` that has a next submission."""
    for position in range(min_position, len(trajectory.submissions)):
        yield Start.at(course, trajectory, position)
