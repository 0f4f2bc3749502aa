"""Sampled decoding: several runs of one policy, told apart by their seeds, beside its greedy one.

A policy that is uncertain is not wrong to say different things. Three views of n sampled runs:

- mean: what one sample scores on average
- best of n: at each step the sample nearest to the student, in each metric by itself. That choice
  knows the student: it says what the policy can say, grows with n, and is no score of a simulator
- distributions: whether the grades it gives are spread as the students' are

`energy_distance` compares all simulated grades with all logged ones: twice the area under the
squared difference of the cumulative shares, 2 E|X-Y| - E|X-X'| - E|Y-Y'|; 0 for equal
distributions, whoever got which grade. It is over pairs of different students (a U-statistic): the
plain average over all pairs (the V-statistic) is never below 0, is too large by about one over the
number of students, and more so in every bootstrap draw, so that its interval would miss it. This
one is right on average and may fall a little below 0; near 0 its interval is rough, as those of
degenerate statistics are.

`energy_score` compares the samples at a step with what that student did: E|X-y| - E|X-X'| / 2,
over pairs of different samples (unbiased in n, "fair"). It is a proper score, lower is better, and
for a policy that always says the same it is 1 - grade proximity.

Both are over the steps that are covered, logged and simulated alike; read coverage beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import (
    FloatArray,
    Interval,
    Run,
    Statistic,
    check_same_starts,
    intervals,
    of_sums,
    ratio,
    step_intervals,
    student_intervals,
)
from novicegym.eval.metrics import ScoredStep
from novicegym.eval.support import StepKey, step_key


@dataclass(frozen=True, slots=True)
class Scores:
    """The metrics of one view of a policy."""

    overall: dict[str, Interval | None]
    """As in `student_intervals`."""
    steps: dict[int, dict[str, Interval | None]]
    """As in `step_intervals`."""


@dataclass(frozen=True, slots=True)
class GradeDistance:
    """How the simulated grades are spread beside the logged ones."""

    step: int | None
    """None for all steps together."""
    energy_distance: Interval | None
    energy_score: Interval | None
    """Over the episode-steps that at least two runs cover."""


@dataclass(frozen=True, slots=True)
class SampledScores:
    """A policy's sampled runs, and its greedy one where there is one."""

    samples: int
    greedy: Scores | None
    mean: Scores
    best: Scores
    distances: tuple[GradeDistance, ...]
    """Of the sampled runs: each step, then all."""


def sampled_scores(
    sampled: Sequence[Run],
    greedy: Run | None = None,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> SampledScores:
    """Return what the sampled runs of one policy score, beside its greedy run.

    samples, level, seed: of the bootstrap. Raises UsageError for fewer than two sampled runs,
    runs from different starts, and fewer than two students.
    """
    if len(sampled) < 2:
        raise UsageError(f"sampled scores need at least 2 sampled runs, got {len(sampled)}")
    check_same_starts([*sampled, *([] if greedy is None else [greedy])])

    def scores(runs: Sequence[Run]) -> Scores:
        return Scores(
            student_intervals(runs, samples=samples, level=level, seed=seed),
            step_intervals(runs, samples=samples, level=level, seed=seed),
        )

    return SampledScores(
        samples=len(sampled),
        greedy=None if greedy is None else scores([greedy]),
        mean=scores(sampled),
        best=scores([best_of(sampled)]),
        distances=grade_distances(sampled, samples=samples, level=level, seed=seed),
    )


def best_of(runs: Sequence[Run]) -> list[ScoredStep]:
    """Return one run that has at each step the best value any of `runs` has there.

    A step is covered where any run covers it. Each metric takes its own best; the grade is that
    of the best grade proximity. Raises UsageError for runs from different starts.
    """
    check_same_starts(runs)
    covered: dict[StepKey, list[ScoredStep]] = defaultdict(list)
    solved = set()
    for run in runs:
        for one in run:
            if one.valid:
                covered[step_key(one)].append(one)
            if one.solved:
                solved.add(step_key(one)[:3])
    best = []
    for one in runs[0]:
        there = covered.get(step_key(one), [one])
        proximity = _highest(other.grade_proximity for other in there)
        nearest = next(other for other in there if other.grade_proximity == proximity)
        best.append(
            replace(
                nearest,
                codebleu=_highest(other.codebleu for other in there),
                codebleu_corrected=_highest(other.codebleu_corrected for other in there),
                solved=step_key(one)[:3] in solved,
            )
        )
    return best


def grade_distances(
    runs: Sequence[Run], *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[GradeDistance, ...]:
    """Return how simulated grades are spread beside logged ones: at each step, then at all.

    Raises UsageError for fewer than two students. A single run has an energy distance and no
    energy score.
    """
    place = {name: i for i, name in enumerate(sorted({s.student_id for run in runs for s in run}))}
    steps = sorted({one.step for run in runs for one in run})
    groups: dict[StepKey, list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        for one in run:
            if one.valid and one.grade is not None and one.logged_grade is not None:
                groups[step_key(one)].append((one.grade, one.logged_grade))
    statistics = (
        _energy_distance(groups, place, steps),
        _energy_score(groups, place, steps),
    )
    apart, score = (
        intervals(one, len(place), samples=samples, level=level, seed=seed) for one in statistics
    )
    return tuple(GradeDistance(*found) for found in zip([*steps, None], apart, score, strict=True))


_Groups: TypeAlias = Mapping[StepKey, Sequence[tuple[float, float]]]
"""(simulated, logged) grades of the runs that cover an episode-step."""


def _energy_distance(groups: _Groups, place: Mapping[str, int], steps: Sequence[int]) -> Statistic:
    grid = np.unique([grade for pairs in groups.values() for pair in pairs for grade in pair])
    # How many more simulated than logged grades each student has up to each value of the grid.
    excess = np.zeros((len(place), len(steps) + 1, len(grid)))
    pairs_of = np.zeros((len(place), len(steps) + 1))
    at = {value: i for i, value in enumerate(grid.tolist())}
    column = {step: i for i, step in enumerate(steps)}
    for (student, _, _, step), pairs in groups.items():
        for simulated, logged in pairs:
            for where in (column[step], -1):
                excess[place[student], where, at[simulated]] += 1
                excess[place[student], where, at[logged]] -= 1
                pairs_of[place[student], where] += 1
    excess = excess.cumsum(axis=-1)[..., :-1]
    gaps = np.diff(grid)
    own, own_pairs = (excess**2) @ gaps, pairs_of**2

    def statistic(counts: FloatArray) -> FloatArray:
        # Of all pairs, less those of a student with herself or with a copy of her in the draw.
        area = (np.tensordot(counts, excess, axes=1) ** 2) @ gaps - counts**2 @ own
        pairs = (counts @ pairs_of) ** 2 - counts**2 @ own_pairs
        return 2 * ratio(area, pairs)

    return statistic


def _energy_score(groups: _Groups, place: Mapping[str, int], steps: Sequence[int]) -> Statistic:
    sums = np.zeros((len(place), len(steps) + 1, 2))
    column = {step: i for i, step in enumerate(steps)}
    for (student, _, _, step), pairs in groups.items():
        if len(pairs) < 2:
            continue
        grades = np.array([simulated for simulated, _ in pairs])
        spread = np.abs(grades[:, None] - grades).sum() / (len(pairs) * (len(pairs) - 1))
        score = np.abs(grades - pairs[0][1]).mean() - spread / 2
        for where in (column[step], -1):
            sums[place[student], where] += (score, 1)
    return of_sums(sums, lambda drawn: ratio(drawn[..., 0], drawn[..., 1]))


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
