"""Confidence intervals by student: what another class of students would have given.

The submissions of one student hang together, and so do the positions of one trajectory; students
are what a study draws. So whole students are drawn anew, with all their records (cluster
bootstrap, percentile intervals). Several seeds of a policy share the students: the statistic is
the mean over its runs. Not covered: differences between policies, and corrections for many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from novicegym.errors import UsageError
from novicegym.eval.metrics import ScoredStep, summarize


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and where it lies with probability `level`."""

    value: float
    low: float
    high: float


METRICS = ("coverage", "grade_proximity", "codebleu", "codebleu_corrected")


def student_intervals(
    runs: Sequence[Sequence[ScoredStep]],
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Return each of METRICS of a policy, as its table shows it, with its interval.

    runs: the scored records of its seeds, over the same students. None where nothing could be
    compared. Raises UsageError for no run, and fewer than two students.
    """
    by_student = []
    for run in runs:
        groups: dict[str, list[ScoredStep]] = defaultdict(list)
        for one in run:
            groups[one.student_id].append(one)
        by_student.append(groups)
    students = sorted({student for groups in by_student for student in groups})
    if len(students) < 2:
        raise UsageError(f"intervals by student need at least 2 students, got {len(students)}")
    values = _statistics([list(run) for run in runs])
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = defaultdict(list)
    for _ in range(samples):
        chosen = [students[i] for i in rng.integers(len(students), size=len(students))]
        resampled = [[one for name in chosen for one in groups[name]] for groups in by_student]
        for name, value in _statistics(resampled).items():
            if value is not None:
                drawn[name].append(value)
    tails = ((1 - level) / 2, (1 + level) / 2)
    intervals: dict[str, Interval | None] = {}
    for name, value in values.items():
        if value is None:
            intervals[name] = None
            continue
        low, high = np.quantile(drawn[name], tails)
        intervals[name] = Interval(value, float(low), float(high))
    return intervals


def _statistics(runs: Sequence[Sequence[ScoredStep]]) -> dict[str, float | None]:
    """Return the mean over the runs of each metric: coverage micro, the others macro."""
    found: dict[str, float | None] = {}
    metrics = [summarize(run) for run in runs]
    for name in METRICS:
        averages = [getattr(one, name) for one in metrics]
        values = [one.micro if name == "coverage" else one.macro for one in averages]
        there = [value for value in values if value is not None]
        found[name] = sum(there) / len(there) if there else None
    return found
