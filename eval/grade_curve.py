"""Grades along the trajectory, logged beside simulated: the paper's Figure 2.

Normalised position is i / n for the i-th of a student's n submissions, 1 being her last ("by
length", 0 = start, 1 = end); points stand at the tenths, each the mean over what is nearest.

The paper's line of a policy is the mean over the submissions it makes: over survivors. A policy
that stops early is judged by its longest episodes, where students are weak. So each point also has
its coverage and a third line, the logged grades of exactly the steps the policy covers: between
that and the simulated line lies the policy's error, between the two logged lines who is left.
Every logged submission counts once, and what was simulated for it as much, from however many
starts it was reached; the logged student played as a policy gives the logged line.

Preset `published` is the released code: a submission counts once for each start that reaches it,
n is the largest position in the records of any policy given, grades are rounded to hundredths,
and the simulated line takes any grade there is, one of `exit()` too. Its bands, 1.96 standard
errors of rows taken for independent, are not: intervals are by student in both presets.

Covered: the curve. Not covered: drawing it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import FloatArray, Interval, Run, intervals, of_sums, ratio
from novicegym.eval.metrics import score_steps
from novicegym.eval.records import columns
from novicegym.eval.support import once_each

TENTHS = 10

_Lengths: TypeAlias = Mapping[tuple[str, str], int]
"""Of the trajectory of each (student, assignment), in submissions."""

_LINES = ("logged", "logged_covered", "simulated")


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What lies nearest to one tenth of the way; None where nothing does."""

    position: float
    """In [0, 1]."""
    steps: int
    """Episode-steps, over all runs."""
    covered: int
    """Those the policy has a submission for."""
    logged: Interval | None
    """Mean grade of the students."""
    logged_covered: Interval | None
    """Mean grade of the students where the policy has a submission."""
    simulated: Interval | None
    """Mean grade of the policy where it has one."""

    @property
    def coverage(self) -> float | None:
        """Share of the steps that the policy covers."""
        return self.covered / self.steps if self.steps else None


def grade_curves(
    policies: Mapping[str, Sequence[pa.Table]],
    preset: str = "paper",
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[CurvePoint, ...]]:
    """Return the curve of each policy: eleven points, at 0, 0.1, ... 1.

    policies: the record tables of each one's runs, which are pooled. Raises UsageError for an
    unknown preset, a policy without a run, fewer than two students, and in preset `paper` records
    that do not say how long the logged trajectory was.
    """
    scored = {
        name: [score_steps(table, preset, with_codebleu=False) for table in tables]
        for name, tables in policies.items()
    }
    lengths = (
        _recorded_lengths([run for runs in scored.values() for run in runs])
        if preset == "published"
        else _logged_lengths([table for tables in policies.values() for table in tables])
    )
    curves = {}
    for name, runs in scored.items():
        if not runs:
            raise UsageError(f"policy {name!r} has no run")
        students, counts, sums = _sums(runs, lengths, published=preset == "published")
        found = intervals(
            of_sums(
                sums, lambda drawn: ratio(drawn[..., 0], drawn[..., 1]).reshape(len(drawn), -1)
            ),
            students,
            samples=samples,
            level=level,
            seed=seed,
        )
        width = len(_LINES)
        curves[name] = tuple(
            CurvePoint(i / TENTHS, *counts[i], *found[i * width : (i + 1) * width])
            for i in range(TENTHS + 1)
        )
    return curves


def _sums(
    runs: Sequence[Run], lengths: _Lengths, *, published: bool
) -> tuple[int, list[tuple[int, int]], FloatArray]:
    """Return students, (steps, covered) of each point, and sums (students, points, lines, 2)."""
    place = {name: i for i, name in enumerate(sorted({s.student_id for run in runs for s in run}))}
    points = TENTHS + 1
    sums = np.zeros((len(place), points, len(_LINES), 2))
    steps, covered = np.zeros(points, dtype=np.int64), np.zeros(points, dtype=np.int64)
    for run in runs:
        trajectories = [(one.student_id, one.assignment_id) for one in run]
        index = np.array([one.position + one.step for one in run])
        length = np.array([lengths[key] for key in trajectories])
        # Halves go to the even tenth, as Python's round() has it.
        point = np.round(TENTHS * index / length).astype(np.intp)
        weights = np.ones(len(run))
        if not published:
            weights = once_each(list(zip(trajectories, index.tolist(), strict=True)))
        logged = np.array([one.logged_grade for one in run], dtype=np.float64)
        grade = np.array([one.grade for one in run], dtype=np.float64)
        valid = np.array([one.valid for one in run])
        steps += np.bincount(point, minlength=points)
        covered += np.bincount(point[valid], minlength=points)
        graded = ~np.isnan(grade)
        lines = (
            (logged, ~np.isnan(logged)),
            (logged, valid & ~np.isnan(logged)),
            (grade, graded if published else valid & graded),
        )
        cells = points * np.array([place[student] for student, _ in trajectories]) + point
        for line, (values, there) in enumerate(lines):
            for part, summed in enumerate((weights * values, weights)):
                total = np.bincount(cells[there], summed[there], minlength=len(place) * points)
                sums[:, :, line, part] += total.reshape(len(place), points)
    counts = list(zip(steps.tolist(), covered.tolist(), strict=True))
    return len(place), counts, sums


def _logged_lengths(tables: Sequence[pa.Table]) -> _Lengths:
    lengths: dict[tuple[str, str], int] = {}
    for table in tables:
        students, assignments, values = columns(
            table, ("student_id", "assignment_id", "logged_length"), complete=["logged_length"]
        )
        lengths.update(zip(zip(students, assignments, strict=True), values, strict=True))
    return lengths


def _recorded_lengths(runs: Sequence[Run]) -> _Lengths:
    lengths: dict[tuple[str, str], int] = defaultdict(int)
    for run in runs:
        for one in run:
            key = (one.student_id, one.assignment_id)
            lengths[key] = max(lengths[key], one.position + one.step)
    return lengths
