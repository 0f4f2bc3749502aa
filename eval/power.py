"""How many students a trial needs: the power of trials made of a pilot's students, simulated.

Students of the pilot are drawn with replacement, with all their episodes, as many as the trial is
to have; the share of such trials that find a difference at 5 % is their power. Two designs:

- paired   every student under both arms, with common random numbers: what a simulated trial is
- groups   every student under one arm, half of them each: what is possible with real students

An effect that is asked for is made of the one found. A smaller one: a student's two arms are
exchanged with some probability, which is one half where there is to be no effect. What is beyond
the one found comes from a random share of the arm's episodes, which get the best value that there
is (or the worst, for an effect that falls): a share solved rises as failed episodes are solved.
Of a student the sums are known alone, so how far hers are from that value is taken to be in as few
episodes as can hold it; of shares that is exact, of other outcomes the most scatter, so that
rather too many students are asked for. A simulated trial
is tested by the t test of a ratio mean with standard errors clustered by student (Liang and Zeger,
Longitudinal data analysis using generalized linear models, Biometrika 73:13-22, 1986; n - 1
degrees of freedom), which stands for the bootstrap of `novicegym.eval.trial`, a thousand times
slower. Its quantile is by the expansion 26.7.5 of Abramowitz and Stegun, good to 0.001 from 9
degrees of freedom on.

Covered: one arm and one outcome at 5 %, two-sided. Not covered: p values corrected for several
outcomes, which need more students; other students than the pilot's; what the pilot itself got
wrong: a true effect smaller than the one found, which is often so, needs more. Episodes of a
student are as many as in the pilot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import FloatArray, TooFewError

Design: TypeAlias = Literal["paired", "groups"]
DESIGNS: tuple[Design, ...] = get_args(Design)

LEAST, MOST = 10, 100_000
"""Students of a trial that is looked at; the t test of fewer means little."""
SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000)
LEVEL = 0.05
WANTED = 0.8
SIMULATIONS = 2000
"""Trials for each number of students: a power of 80 % has a standard error of 0.9 points."""

_POWER = 8  # stream of the seed
_CELLS = 1 << 22


@dataclass(frozen=True, slots=True)
class Power:
    """The power of a trial of some number of students."""

    students: int
    """In all; of design "groups" half of them in each arm."""
    episodes: int
    """Of each arm, about."""
    power: float


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """How the power of one arm against the control grows with the students."""

    arm: str
    outcome: str
    design: Design
    effect: float
    """The difference to be seen."""
    is_given: bool
    """Whether it was asked for; else it is the one that the pilot found."""
    curve: tuple[Power, ...]
    needed: Power | None
    """The fewest students with a power of WANTED; None where MOST are not enough."""


def power_curve(
    control: FloatArray,
    treated: FloatArray,
    *,
    design: Design,
    effect: float | None = None,
    span: tuple[float, float] = (0.0, 1.0),
    arm: str = "",
    outcome: str = "",
    simulations: int = SIMULATIONS,
    seed: int = 0,
) -> PowerCurve:
    """Return the power of trials of SIZES students, and how many are needed.

    control, treated: (students, 2), the sum of the outcome over each student's episodes and how
    many there are, in the same order. effect: None for the one found. span: the lowest and
    the highest value of an episode, as of shares and grades. Raises UsageError for an effect that
    is no number or cannot be, as of 0.5 on a share of 0.7, and TooFewError for fewer than two
    students.
    """
    if len(control) < 2:
        raise TooFewError(f"a power analysis needs at least 2 students, got {len(control)}")
    if effect is not None and not math.isfinite(effect):
        raise UsageError(f"the effect must be a number, got {effect}")
    found = float((treated[:, 0].sum() - control[:, 0].sum()) / control[:, 1].sum())
    wanted = found if effect is None else effect
    kept = max(-1.0, min(1.0, wanted / found)) if found else 0.0
    exchanged = (1 - kept) / 2
    added = wanted - kept * found
    count = control[:, 1]
    # Every student as she was, then with her arms exchanged.
    chance = np.repeat([1 - exchanged, exchanged], len(count)) / len(count)
    one, other = (
        np.concatenate([first[:, 0], second[:, 0]])
        for first, second in ((treated, control), (control, treated))
    )
    counts = np.tile(count, 2)
    # What is left of the one found itself is rounding.
    if abs(added) > 1e-12 * (span[1] - span[0]):
        rows, chance, gained = _moved(one, counts, chance, added, span, f"{wanted:+g} on {outcome}")
        one, other, counts = one[rows] + gained, other[rows], counts[rows]
    if design == "paired":
        # What is equal but for the order of summing has no scatter.
        groups = [_moments(np.round(one - other, 12), counts)]
    else:
        groups = [_moments(one, counts), _moments(other, counts)]

    def at(students: int) -> Power:
        inside = students // len(groups)
        rng = np.random.default_rng([_POWER, seed, students])
        power = _power(groups, chance, inside, simulations, rng)
        return Power(students, round(inside * float(count.mean())), power)

    return PowerCurve(
        arm=arm,
        outcome=outcome,
        design=design,
        effect=wanted,
        is_given=effect is not None,
        curve=tuple(at(students) for students in SIZES),
        needed=_fewest(at) if wanted else None,
    )


def _moved(
    sums: FloatArray,
    counts: FloatArray,
    chance: FloatArray,
    added: float,
    span: tuple[float, float],
    told: str,
) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
    """Return students with all that may become of them, so that the mean changes by `added`.

    Each student stands there once for every number of her episodes that may get the end of `span`:
    which row she is of, the chance of it to be drawn, and what her sum gains.
    """
    end = span[added > 0]
    room = np.maximum((end - sums / counts) * np.sign(added), 0) * counts
    size = float(chance @ counts)
    there, wanted = float(chance @ room), abs(added) * size
    if wanted > there * (1 + 1e-9):
        raise UsageError(
            f"an effect of {told} cannot be: that is {added:+.3g} from a mean of "
            f"{float(chance @ sums) / size:.3f}, and no episode goes beyond {end:g}; ask for less"
        )
    share = min(1.0, wanted / there)
    episodes = np.ceil(room / (span[1] - span[0]) - 1e-9).astype(np.intp)
    # Of how many of so many episodes: the binomial distribution, by one episode more each time.
    of_size = [np.ones(1)]
    while len(of_size) <= episodes.max():
        of_size.append(np.convolve(of_size[-1], [1 - share, share]))
    rows = np.repeat(np.arange(len(sums)), episodes + 1)
    number = np.concatenate([np.arange(most + 1) for most in episodes])
    chances = chance[rows] * np.concatenate([of_size[most] for most in episodes])
    gained = np.sign(added) * room[rows] * number / np.maximum(episodes[rows], 1)
    kept = chances > 0
    return rows[kept], chances[kept] / chances.sum(), gained[kept]


def _fewest(at: Callable[[int], Power]) -> Power | None:
    high = at(LEAST)
    low = high
    while high.power < WANTED:
        if high.students >= MOST:
            return None
        low, high = high, at(min(MOST, 2 * high.students))
    # No finer than the simulation can tell; even, as half of them are in each arm.
    while high.students - low.students > max(2, high.students // 50):
        middle = at((low.students + high.students) // 4 * 2)
        low, high = (low, middle) if middle.power >= WANTED else (middle, high)
    return high


def _moments(sums: FloatArray, counts: FloatArray) -> FloatArray:
    """Return what a ratio mean and its variance are made of, by student."""
    return np.stack([sums, counts, sums * sums, sums * counts, counts * counts], axis=1)


def _power(
    groups: Sequence[FloatArray],
    chance: FloatArray,
    students: int,
    simulations: int,
    rng: np.random.Generator,
) -> float:
    """Return how often the first group's mean is found to differ from the second's, or from 0.

    groups: moments of each. chance: of each row to be drawn. students: in each group.
    """
    bound = _t_quantile(1 - LEVEL / 2, (students - 1) * len(groups))
    chunk = max(1, _CELLS // len(chance))
    seen = 0
    for first in range(0, simulations, chunk):
        draws = min(chunk, simulations - first)
        difference, variance = np.zeros(draws), np.zeros(draws)
        for sign, moments in zip((1, -1), groups, strict=False):
            counts = rng.multinomial(students, chance, size=draws)
            total, size, squares, products, sizes = (counts @ moments).T
            mean = total / size
            scatter = squares - 2 * mean * products + mean * mean * sizes
            difference += sign * mean
            variance += students / (students - 1) * np.maximum(scatter, 0) / size**2
        # What is left where students do not differ at all is the order of summing.
        seen += int((np.abs(difference) > np.maximum(bound * np.sqrt(variance), 1e-9)).sum())
    return seen / simulations


def _t_quantile(share: float, freedom: int) -> float:
    """Return the quantile of Student's t: Abramowitz and Stegun 26.7.5."""
    z = NormalDist().inv_cdf(share)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
