"""How often a policy has not solved by when the student stopped.

A student abandons an assignment when her log ends without a fully correct submission. What a
policy had done by then can be asked only of rollouts that reach the end of the log: where the
student has more submissions ahead than the rollout has steps, she has not stopped. Such a rollout
is *decided*: either it had a fully correct submission, or the policy is unsolved after as many
submissions as she made, whether it said `exit()` or had to be stopped: in protocol `paper` it
cannot say so, and in both it is never played beyond the log.

This does not measure whether a policy gives up as often as students do. To be decided is to be
where she stops within the rollout, often because she solves there; nothing ties a policy to that
moment, and one that would solve a submission later counts as unsolved. An independent redraw of
the very process that wrote the logs is therefore above the students, too: of students who go on
until they solve, with a chance of 0.2 at each submission, none is unsolved, and a redraw of them
is unsolved in 0.59 of the decided rollouts (protocol `paper`). So compare policies with each other,
from the same starts, and not with the students, whose share says which rollouts are decided.

What a policy says itself is `exits`, over all rollouts, beside the share of all rollouts within
which the student leaves (`leaves`). A policy that would exit after she has stopped is not played
so far, so that `exits` is too low beside it. Only protocol `published` lets a policy exit; in
`paper` the share is 0 by construction.

A trajectory is in as many decided rollouts as it has starts that close to its end, on both sides.
Covered: one policy, its runs pooled, with intervals by student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from novicegym.eval.bootstrap import FloatArray, Interval, intervals, of_sums, ratio
from novicegym.eval.records import columns


@dataclass(frozen=True, slots=True)
class Abandonment:
    """Shares of rollouts; None where there are none to take the share of."""

    episodes: int
    """Rollouts, over all runs."""
    decided: int
    """Those that reach the end of the log within their steps."""
    logged: Interval | None
    """Share of the decided in which the student ends unsolved."""
    simulated: Interval | None
    """Share of the decided in which the policy ends unsolved."""
    when_abandoned: Interval | None
    """`simulated` where the student abandons."""
    when_solved: Interval | None
    """`simulated` where the student solves."""
    leaves: Interval | None
    """Share of all in which the student ends unsolved within the rollout's steps."""
    exits: Interval | None
    """Share of all in which the policy gives up by `exit()`."""


def abandonment(
    records: Sequence[pa.Table], *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> Abandonment:
    """Return how often a policy has not solved by when the student it sat in for stopped.

    records: the tables of its runs. Raises UsageError for records that do not say how the logged
    trajectory ended, and TooFewError for fewer than two students.
    """
    rollouts = [one for table in records for one in _rollouts(table)]
    place = {name: i for i, name in enumerate(sorted({one.student for one in rollouts}))}
    sums = np.zeros((len(place), 6))
    for one in rollouts:
        left, unsolved = one.decided and one.student_unsolved, one.decided and one.unsolved
        sums[place[one.student]] += (
            1,
            one.decided,
            left,
            unsolved,
            left and unsolved,
            one.exited,
        )
    found = intervals(of_sums(sums, _shares), len(place), samples=samples, level=level, seed=seed)
    return Abandonment(len(rollouts), sum(one.decided for one in rollouts), *found)


def _shares(sums: FloatArray) -> FloatArray:
    episodes, decided, left, unsolved, both, exited = sums.T
    return np.stack(
        [
            ratio(left, decided),
            ratio(unsolved, decided),
            ratio(both, left),
            ratio(unsolved - both, decided - left),
            ratio(left, episodes),
            ratio(exited, episodes),
        ],
        axis=-1,
    )


@dataclass(slots=True)
class _Rollout:
    student: str
    student_unsolved: bool
    decided: bool = False
    unsolved: bool = True
    exited: bool = False


_COLUMNS = (
    "student_id",
    "assignment_id",
    "position",
    "step",
    "logged_length",
    "final_logged_grade_num",
    "final_logged_grade_den",
    "grade_num",
    "grade_den",
    "stop",
)


def _rollouts(table: pa.Table) -> list[_Rollout]:
    ends = ("logged_length", "final_logged_grade_num", "final_logged_grade_den")
    rollouts: dict[tuple[str, str, int], _Rollout] = {}
    for student, assignment, position, step, length, final, of, grade, full, stop in zip(
        *columns(table, _COLUMNS, complete=ends), strict=True
    ):
        key = (student, assignment, position)
        one = rollouts.setdefault(key, _Rollout(student, student_unsolved=final != of))
        one.decided = one.decided or position + step == length
        one.unsolved = one.unsolved and (grade is None or grade != full)
        one.exited = one.exited or stop == "exit"
    return list(rollouts.values())
