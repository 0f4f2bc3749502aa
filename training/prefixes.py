"""Which logged prefixes a policy answers in on-policy training.

The paper draws two positions a trajectory (section 5.2). Each trajectory draws from its own
stream of numbers, so that its positions depend on the seed alone: not on the order of the
trajectories, nor on which others are there. Not covered: prefixes of courses too large to grade
before training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from novicegym.courses.model import Course
from novicegym.envs.episode import Start
from novicegym.errors import UsageError
from novicegym.training.logged import LoggedDialog


def draw_prefixes(
    course: Course,
    logged: Sequence[LoggedDialog],
    *,
    positions: int = 2,
    seed: int = 0,
    min_position: int = 1,
) -> list[Start]:
    """Return up to `positions` starts of each logged trajectory, in the order of `logged`.

    A position is a number of submissions seen, at least `min_position`, that another one follows.
    A student is done with her first fully correct submission, which `logged` ends with: it can be
    what comes next, and nothing after it is a counterpart. Trajectories that are too short give
    fewer starts. Raises UsageError when there is none at all.
    """
    if positions < 1 or min_position < 0:
        raise UsageError(
            "positions must be at least 1 and min_position at least 0, "
            f"got {positions} and {min_position}"
        )
    trajectories = {trajectory.key: trajectory for trajectory in course.trajectories}
    starts = []
    for one in logged:
        key = (one.student_id, one.assignment_id)
        until_correct = replace(
            trajectories[key], submissions=trajectories[key].submissions[: len(one.codes)]
        )
        possible = range(min_position, len(one.codes))
        drawn = _stream(seed, key).permutation(len(possible))[:positions]
        starts += [Start.at(course, until_correct, possible[i]) for i in sorted(drawn)]
    if not starts:
        raise UsageError(
            f"none of {len(logged)} trajectories of course {course.name!r} is longer than "
            f"{min_position} submissions before its first fully correct one"
        )
    return starts


def _stream(seed: int, key: tuple[str, str]) -> np.random.Generator:
    # Of JSON, because ("ab", "c") and ("a", "bc") are two students.
    digest = sha256(json.dumps(key).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
