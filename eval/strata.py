"""Results by kind of episode: by who solved, by assignment, by length of the trajectory.

The strata of `student_success`, `assignment` and `length` are facts of the log: the same episodes
for every policy, so that policies may be compared within one. Those of `policy_success` are made
by the policy itself: they show how it fails, and differ from policy to policy. A policy that
solves stops, so what it covers there is little by construction.

Covered: all metrics in every stratum, with intervals by the students who are in it. Not covered:
strata of students or terms. The released code strata by the success at the last recorded step,
which calls rollouts solved early unsolved; `preset="published"` of `score_steps` does so too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from novicegym.errors import UsageError, unknown_name
from novicegym.eval.bootstrap import Interval, Run, intervals_if_possible
from novicegym.eval.metrics import Metrics, ScoredStep, summarize
from novicegym.eval.records import columns

STRATA = ("student_success", "policy_success", "assignment", "length")

LENGTHS = (5, 10, 20)
"""Longest trajectories of the strata by length, in logged submissions; a last one is longer."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """The episodes of one kind."""

    by: str
    name: str
    """"solved" or "unsolved", an assignment's id, or a range of lengths such as "6-10"."""
    students: int
    metrics: tuple[Metrics, ...]
    """Of each run, with its number of episodes; a run that has none of the kind is left out."""
    intervals: dict[str, Interval | None]
    """As in `intervals_if_possible`: all None with fewer than two students."""


def stratify(
    records: Sequence[pa.Table],
    runs: Sequence[Run],
    by: str,
    *,
    preset: str = "paper",
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Stratum, ...]:
    """Return a policy's results in each stratum that has episodes, in a fixed order.

    records: the tables of its runs. runs: the same, scored, row by row. preset: what they were
    scored with, for the metrics; intervals are of unrounded values. Raises what `part_by` does.
    """
    strata = []
    for name, members in part_by(records, runs, by).items():
        there = [run for run in members if run]
        strata.append(
            Stratum(
                by=by,
                name=name,
                students=len({one.student_id for run in there for one in run}),
                metrics=tuple(summarize(run, preset) for run in there),
                intervals=intervals_if_possible(there, samples=samples, level=level, seed=seed),
            )
        )
    return tuple(strata)


def part_by(records: Sequence[pa.Table], runs: Sequence[Run], by: str) -> dict[str, list[Run]]:
    """Return what of each run is in each stratum that has episodes, in a fixed order.

    records, runs: as in `stratify`. Raises UsageError for an unknown `by`, runs that are not those
    of the tables, and records that do not say how the logged trajectory ended or how long it was.
    """
    if by not in STRATA:
        raise unknown_name("stratification", by, STRATA)
    groups: dict[tuple[int, str], list[list[ScoredStep]]] = defaultdict(lambda: [[] for _ in runs])
    for number, (table, run) in enumerate(zip(records, runs, strict=True)):
        if len(table) != len(run):
            raise UsageError(
                f"run {number + 1} has {len(run)} scored steps for {len(table)} records; "
                "score the table itself"
            )
        for kind, one in zip(_kinds(table, run, by), run, strict=True):
            groups[kind][number].append(one)
    return {name: list(members) for (_, name), members in sorted(groups.items())}


_LENGTH = ("logged_length",)
_FINAL = ("final_logged_grade_num", "final_logged_grade_den")


def _kinds(table: pa.Table, run: Run, by: str) -> list[tuple[int, str]]:
    """Return for each record where its stratum stands among the others, and its name."""
    if by == "assignment":
        return [(0, one.assignment_id) for one in run]
    if by == "policy_success":
        return [_success(one.solved) for one in run]
    if by == "length":
        [lengths] = columns(table, _LENGTH, complete=_LENGTH)
        return [_length(length) for length in lengths]
    return [_success(a == b) for a, b in zip(*columns(table, _FINAL, complete=_FINAL), strict=True)]


def _success(solved: bool) -> tuple[int, str]:
    return (0, "solved") if solved else (1, "unsolved")


def _length(submissions: int) -> tuple[int, str]:
    for place, longest in enumerate(LENGTHS):
        if submissions <= longest:
            return place, f"{LENGTHS[place - 1] + 1}-{longest}" if place else f"up to {longest}"
    return len(LENGTHS), f"over {LENGTHS[-1]}"
