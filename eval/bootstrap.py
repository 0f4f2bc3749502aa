"""Confidence intervals by student: what another class of students would have given.

The submissions of one student hang together, and so do the positions of one trajectory; students
are what a study draws. So whole students are drawn anew, with all their records (cluster
bootstrap, percentile intervals). Several seeds of a policy share the students: the statistic is
the mean over its runs, and the intervals say nothing of what other seeds would give. Not covered:
corrections for many comparisons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
    against: Sequence[Sequence[ScoredStep]] | None = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Return each of METRICS of a policy, as its table shows it, with its interval.

    runs: the scored records of its seeds, over the same students. against: those of another
    policy over these students; what is returned is then how much higher the first one's metrics
    are, each draw of students being the same for both. None where nothing could be compared.
    Raises UsageError for no run, and fewer than two students.
    """
    own = [_by_student(run) for run in runs]
    others = [_by_student(run) for run in against or ()]
    students = sorted({student for groups in (*own, *others) for student in groups})
    if len(students) < 2:
        raise UsageError(f"intervals by student need at least 2 students, got {len(students)}")

    def statistics(chosen: Sequence[str]) -> dict[str, float | None]:
        found = _statistics(own, chosen)
        return found if against is None else _difference(found, _statistics(others, chosen))

    values = statistics(students)
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = defaultdict(list)
    for _ in range(samples):
        chosen = [students[i] for i in rng.integers(len(students), size=len(students))]
        for name, value in statistics(chosen).items():
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


_ByStudent: TypeAlias = Mapping[str, Sequence[ScoredStep]]


def _by_student(run: Sequence[ScoredStep]) -> _ByStudent:
    groups: dict[str, list[ScoredStep]] = defaultdict(list)
    for one in run:
        groups[one.student_id].append(one)
    return groups


def _statistics(runs: Sequence[_ByStudent], chosen: Sequence[str]) -> dict[str, float | None]:
    """Return the mean over the runs of each metric, of the students chosen, each as often.

    Coverage is micro, the others macro.
    """
    found: dict[str, float | None] = {}
    metrics = [summarize([one for name in chosen for one in run.get(name, ())]) for run in runs]
    for name in METRICS:
        averages = [getattr(one, name) for one in metrics]
        values = [one.micro if name == "coverage" else one.macro for one in averages]
        there = [value for value in values if value is not None]
        found[name] = sum(there) / len(there) if there else None
    return found


def _difference(
    values: Mapping[str, float | None], others: Mapping[str, float | None]
) -> dict[str, float | None]:
    return {
        name: None if value is None or (other := others[name]) is None else value - other
        for name, value in values.items()
    }
