"""Confidence intervals by student: what another class of students would have given.

The submissions of one student hang together, and so do the positions of one trajectory; students
are what a study draws. So whole students are drawn anew, with all their records (cluster
bootstrap, percentile intervals). A draw is how often each student counts, and a statistic is a
function of those counts: nearly always of the sums over students that they weigh, so that a
thousand draws are one matrix product, whatever the number of records.

Covered: intervals of any statistic of sums; the metrics of a policy, whose seeds share the
students (the mean over its runs: the intervals say nothing of what other seeds would give);
paired differences between two policies, and Holm's correction for many. Values are unrounded,
whatever the metrics preset. Not covered: fewer than two students; p values of a few, about twenty
or fewer, which are too small: where the signs of students' differences may be flipped,
`novicegym.eval.sign_flips` has exact ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from novicegym.errors import UsageError
from novicegym.eval.metrics import ScoredStep

FloatArray: TypeAlias = NDArray[np.float64]

Statistic: TypeAlias = Callable[[FloatArray], FloatArray]
"""From counts (draws, students) to values (draws, outputs); NaN where there is no value."""

Run: TypeAlias = Sequence[ScoredStep]
"""One run of a policy, scored; several seeds of a policy are several runs."""

METRICS = ("coverage", "grade_proximity", "codebleu", "codebleu_corrected")
"""As the table shows them: coverage micro, the others macro over the steps."""

DEGRADATIONS = tuple(f"{name}_degradation" for name in METRICS)

STATISTICS = METRICS + DEGRADATIONS

Key = TypeVar("Key", bound=Hashable)

SURE = 0.05
"""Adjusted p values below it are differences; it is what an interval of 95 % leaves out."""

DRAWS_A_TEST = 2001
"""A p value is never below 2 / draws, and Holm multiplies it by the number of tests: so many draws
a test let a clear difference come out below 0.001 however many tests there are."""

_CELLS = 1 << 22  # of a matrix of counts: draws come in chunks, so that memory stays small


class TooFewError(UsageError):
    """What there is is too little to say anything of it, which is no mistake of the caller."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and where it lies with probability `level`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a second policy's value is above a first's, over the same students."""

    interval: Interval
    p: float
    """Two-sided. Of `differences` it is twice the share of draws on the rarer side of 0, so that
    p < 0.05 says what a 95 % interval without 0 says, and never below 2 / (draws + 1): a large
    family needs more draws."""


def student_intervals(
    runs: Sequence[Run], *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Interval | None]:
    """Return each of STATISTICS of a policy, as its table shows it, with its interval.

    runs: the scored records of its seeds, over the same students. None where nothing could be
    compared. Raises UsageError for no run, and fewer than two students.
    """
    students, steps, sums = _step_sums(runs)
    found = intervals(
        of_sums(sums, lambda drawn: _statistics(drawn, steps)),
        len(students),
        samples=samples,
        level=level,
        seed=seed,
    )
    return dict(zip(STATISTICS, found, strict=True))


def intervals_if_possible(
    runs: Sequence[Run], *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Interval | None]:
    """As `student_intervals`, but with every value None where there are too few students."""
    if len({one.student_id for run in runs for one in run}) < 2:
        return dict.fromkeys(STATISTICS)
    return student_intervals(runs, samples=samples, level=level, seed=seed)


def step_intervals(
    runs: Sequence[Run], *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[int, dict[str, Interval | None]]:
    """Return each of METRICS at each step k, with its interval: the paper's Figure 1.

    Arguments and errors as in `student_intervals`.
    """
    students, steps, sums = _step_sums(runs)
    found = intervals(
        of_sums(sums, lambda drawn: _mean(_ratios(drawn), 1).reshape(len(drawn), -1)),
        len(students),
        samples=samples,
        level=level,
        seed=seed,
    )
    width = len(METRICS)
    return {
        step: dict(zip(METRICS, found[i * width : (i + 1) * width], strict=True))
        for i, step in enumerate(steps)
    }


def paired_differences(
    first: Sequence[Run],
    second: Sequence[Run],
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Difference | None]:
    """Return for each of STATISTICS how far the second policy is above the first.

    Both are computed on the same draws of students. None where one of them has no value.
    Raises UsageError for no run, runs from different starts, and fewer than two students.
    """
    check_same_starts([*first, *second])
    students, steps, before = _step_sums(first)
    _, _, after = _step_sums(second)
    of_first = of_sums(before, lambda drawn: _statistics(drawn, steps))
    of_second = of_sums(after, lambda drawn: _statistics(drawn, steps))
    found = differences(
        lambda counts: of_second(counts) - of_first(counts),
        len(students),
        samples=samples,
        level=level,
        seed=seed,
    )
    return dict(zip(STATISTICS, found, strict=True))


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return the p values of a family of comparisons, adjusted by Holm's step-down rule.

    To call those below 0.05 different is wrong about any of them with probability 0.05 at most, as
    far as that holds for each p value alone.
    """
    adjusted: dict[Key, float] = {}
    largest = 0.0
    for rank, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[key] = largest
    return {key: adjusted[key] for key in p_values}


def sure_sign(difference: Interval | None, adjusted_p: float | None) -> int:
    """Return 1 for a difference surely above 0, -1 for one below, and 0 where nothing is sure."""
    if difference is None or adjusted_p is None or adjusted_p >= SURE:
        return 0
    return 1 if difference.value > 0 else -1


def check_same_starts(runs: Sequence[Run]) -> None:
    """Raise UsageError unless all runs have the same steps of the same episodes."""
    if not runs:
        raise UsageError("a comparison needs at least one run, got none")
    starts = [
        {(one.student_id, one.assignment_id, one.position, one.step) for one in run} for run in runs
    ]
    for number, other in enumerate(starts[1:], start=2):
        if other != starts[0]:
            raise UsageError(
                f"run 1 and run {number} do not start from the same logged states "
                f"({len(other - starts[0])} steps only in run {number}, "
                f"{len(starts[0] - other)} only in run 1); play both with the same --split and "
                "--curate"
            )


def intervals(
    statistic: Statistic,
    students: int,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Interval | None]:
    """Return each output of a statistic with its percentile interval over draws of students.

    Draws in which an output has no value say nothing of it. None where it has none at all.
    Raises TooFewError for fewer than two students, and UsageError for no draws and a
    level outside (0, 1).
    """
    if not 0 < level < 1:
        raise UsageError(f"level must be between 0 and 1, got {level}")
    values, drawn = resample(statistic, students, samples, seed)
    return [_interval(value, column, level) for value, column in zip(values, drawn.T, strict=True)]


def differences(
    statistic: Statistic,
    students: int,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Difference | None]:
    """Return each output of a statistic that is a difference, with its interval and p value.

    None where it has no value. Errors as in `resample`.
    """
    values, drawn = resample(statistic, students, samples, seed)
    # What is equal but for the order of summing shall not look like a difference of one sign.
    drawn = np.round(drawn, 12)
    found: list[Difference | None] = []
    for value, column in zip(values, drawn.T, strict=True):
        interval = _interval(value, column, level)
        found.append(None if interval is None else Difference(interval, _two_sided_p(column)))
    return found


def resample(
    statistic: Statistic, students: int, samples: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Return a statistic of the students as they are (outputs,), and of draws (draws, outputs)."""
    if students < 2:
        raise TooFewError(f"intervals by student need at least 2 students, got {students}")
    if samples < 1:
        raise UsageError(f"samples must be at least 1, got {samples}")
    [values] = statistic(np.ones((1, students)))
    return values, np.concatenate([statistic(one) for one in draw_counts(students, samples, seed)])


def draw_counts(students: int, samples: int, seed: int) -> Iterator[FloatArray]:
    """Yield arrays (draws, students) of how often each counts, `samples` draws in all."""
    rng = np.random.default_rng(seed)
    most = max(1, _CELLS // students)
    for first in range(0, samples, most):
        draws = min(most, samples - first)
        drawn = rng.integers(students, size=(draws, students))
        drawn += students * np.arange(draws)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=draws * students)
        yield counts.reshape(draws, students).astype(np.float64)


def of_sums(sums: FloatArray, function: Callable[[FloatArray], FloatArray]) -> Statistic:
    """Return a statistic that is a function of sums over students.

    sums: (students, ...), each student's own. function: from (draws, ...) to (draws, outputs).
    """
    return lambda counts: function(np.tensordot(counts, sums, axes=1))


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotients, NaN where nothing is divided by."""
    quotients = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=quotients, where=denominator > 0)
    return quotients


def _step_sums(runs: Sequence[Run]) -> tuple[list[str], list[int], FloatArray]:
    """Return students, steps and (students, runs, steps, METRICS, numerator and denominator)."""
    students = sorted({one.student_id for run in runs for one in run})
    steps = sorted({one.step for run in runs for one in run})
    shape = (len(students), len(steps))
    row = {name: i * len(steps) for i, name in enumerate(students)}
    column = {step: i for i, step in enumerate(steps)}
    sums = np.zeros((len(students), len(runs), len(steps), len(METRICS), 2))
    for number, run in enumerate(runs):
        cells = np.array([row[one.student_id] + column[one.step] for one in run], dtype=np.intp)
        for place, name in enumerate(METRICS):
            if name == "coverage":
                values = np.array([one.valid for one in run], dtype=np.float64)
                there = np.array([one.has_counterpart for one in run], dtype=np.bool_)
            else:
                values = np.array([getattr(one, name) for one in run], dtype=np.float64)
                there = ~np.isnan(values)
            for part, weights in enumerate((np.where(there, values, 0.0), there)):
                total = np.bincount(cells, weights, minlength=shape[0] * shape[1])
                sums[:, number, :, place, part] = total.reshape(shape)
    return students, steps, sums


def _ratios(sums: FloatArray) -> FloatArray:
    return ratio(sums[..., 0], sums[..., 1])


def _statistics(sums: FloatArray, steps: Sequence[int]) -> FloatArray:
    """Return (draws, STATISTICS) of sums (draws, runs, steps, METRICS, 2)."""
    by_step = _ratios(sums)
    values = _mean(by_step, 2)
    values[..., 0] = _ratios(sums[..., 0, :].sum(axis=2))
    # Degradation is from the first step: there is none where no rollout begins.
    first = by_step[:, :, :1] if steps[:1] == [1] else np.full_like(by_step[:, :, :1], np.nan)
    losses = _mean(by_step[:, :, 1:] - first, 2)
    return _mean(np.concatenate([values, losses], axis=-1), 1)


def _mean(values: FloatArray, axis: int) -> FloatArray:
    """Return the mean of the values that are there."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0).sum(axis=axis), there.sum(axis=axis, dtype=float))


def _interval(value: float, drawn: FloatArray, level: float) -> Interval | None:
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(drawn):
        return None
    low, high = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(value), float(low), float(high))


def _two_sided_p(drawn: FloatArray) -> float:
    drawn = drawn[~np.isnan(drawn)]
    rarer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(drawn) + 1))
