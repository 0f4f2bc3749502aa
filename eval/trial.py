"""A simulated randomised trial of tutors: what each does to the same students, and how surely.

Every arm plays the same starts with the same seeds (common random numbers), so an arm's effect is
the mean over episodes of its outcome minus the control's in the same episode. All episodes of a
student hang together: for intervals whole students are drawn anew (`novicegym.eval.bootstrap`),
for p values the signs of students' differences are flipped, which is right with few students, too
(`novicegym.eval.sign_flips`, with the null hypothesis). p values hold for all arms and outcomes at
once (Holm). Outcomes are those of `novicegym.eval.trial_episodes`.

By skill: the episodes in three parts by the mean grade of what the student had submitted when the
tutor came, cut where a third and two thirds of the episodes are; equal values stay together, so the
parts may be unequal, or fewer. Their intervals are of each part alone and not adjusted.

Covered: any number of arms against the first. Not covered: arms against each other; other seeds of
the student or the tutor, of which intervals say nothing. An effect on simulated students is a
hypothesis about real ones, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import (
    DRAWS_A_TEST,
    Difference,
    FloatArray,
    Interval,
    Statistic,
    holm,
    intervals,
    of_sums,
    ratio,
    sure_sign,
)
from novicegym.eval.sign_flips import sign_flip_p
from novicegym.eval.trial_episodes import OUTCOMES, TutoredEpisode

DRAWS = 10_000
"""Draws of students for intervals."""
HIGHER, LOWER, NO_DIFFERENCE = "higher", "lower", "no difference shown"
PARTS = ("lower", "middle", "upper")


@dataclass(frozen=True, slots=True)
class Effect:
    """One outcome of one arm."""

    arm: str
    outcome: str
    mean: Interval
    """Over all episodes of the arm."""
    difference: Difference | None
    """From the control; None of the control itself."""
    adjusted_p: float | None
    """By Holm, for all arms and outcomes that differ in an episode; None of the control, and within
    a part by skill."""

    @property
    def verdict(self) -> str:
        """ "higher" or "lower" than the control, "no difference shown", or "" of the control."""
        if self.difference is None or self.adjusted_p is None:
            return ""
        sign = sure_sign(self.difference.interval, self.adjusted_p)
        return (NO_DIFFERENCE, HIGHER, LOWER)[sign]


@dataclass(frozen=True, slots=True)
class Part:
    """The episodes of students who were about equally far."""

    name: str
    """One of PARTS."""
    lowest: float
    """Smallest and largest mean grade before the tutor came."""
    highest: float
    students: int
    episodes: int
    effects: tuple[Effect, ...]
    """Of what students do alone; empty for fewer than two students."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial found."""

    arms: tuple[str, ...]
    """The control first."""
    students: int
    episodes: int
    """Of each arm."""
    samples: int
    """Draws of students for each interval."""
    seed: int
    effects: tuple[Effect, ...]
    parts: tuple[Part, ...]

    def effect(self, arm: str, outcome: str) -> Effect:
        """Return what an arm did to an outcome."""
        return next(one for one in self.effects if (one.arm, one.outcome) == (arm, outcome))

    def to_json(self) -> dict[str, Any]:
        """Return everything, and the verdicts."""
        found = asdict(self)
        for told, effects in (
            (found, self.effects),
            *zip(found["parts"], (part.effects for part in self.parts), strict=True),
        ):
            for one, effect in zip(told["effects"], effects, strict=True):
                one["verdict"] = effect.verdict
        return found


def compare_arms(
    arms: Mapping[str, Sequence[TutoredEpisode]], *, samples: int = DRAWS, seed: int = 0
) -> Trial:
    """Return what each arm changes against the first.

    arms: the episodes of each, the control first. samples: draws of students for 95 % intervals.
    seed: of those, and of signs. Raises UsageError for fewer than two arms, arms that were not
    played from the same starts, and fewer than two students.
    """
    if len(arms) < 2:
        raise UsageError(f"a trial compares at least two arms, got {len(arms)}")
    keys = {arm: [one.key for one in episodes] for arm, episodes in arms.items()}
    control, *others = keys
    for arm in others:
        if keys[arm] != keys[control]:
            raise UsageError(f"arms {control!r} and {arm!r} were not played from the same starts")
    names = tuple(one.name for one in OUTCOMES)
    # The state before the tutor came is the same in every arm.
    skill = np.array([one.skill for one in arms[control]])
    students = [one.key[0] for one in arms[control]]
    values = outcome_values(arms, names)
    effects = _effects(tuple(arms), names, students, values, samples, seed)
    adjusted = _adjusted(effects, names, values)
    return Trial(
        arms=tuple(arms),
        students=len(set(students)),
        episodes=len(students),
        samples=samples,
        seed=seed,
        effects=tuple(
            Effect(
                one.arm, one.outcome, one.mean, one.difference, adjusted.get((one.arm, one.outcome))
            )
            for one in effects
        ),
        parts=_parts(tuple(arms), skill, students, values, samples, seed),
    )


def _adjusted(
    effects: Sequence[Effect], names: Sequence[str], values: FloatArray
) -> dict[tuple[str, str], float]:
    """Return the p values of all arms but the control, corrected.

    Where an arm's episodes are the control's in an outcome there is nothing to test: p is 1
    whatever the signs, so the test does not count among those corrected for (R. E. Tarone, A
    modified Bonferroni method for discrete data, Biometrics 46(2), 1990).
    """
    is_same = (values[:, 1:] == values[:, :1]).all(axis=0).ravel()
    keys = [(one.arm, one.outcome) for one in effects[len(names) :]]
    p_values = [one.difference.p for one in effects if one.difference is not None]
    tested = {key: p for key, p, same in zip(keys, p_values, is_same, strict=True) if not same}
    return dict.fromkeys(keys, 1.0) | holm(tested)


def outcome_values(
    arms: Mapping[str, Sequence[TutoredEpisode]], outcomes: Sequence[str]
) -> FloatArray:
    """Return the outcomes as (episodes, arms, outcomes)."""
    return np.array(
        [
            [[getattr(one, name) for name in outcomes] for one in same]
            for same in zip(*arms.values(), strict=True)
        ],
        dtype=np.float64,
    )


def student_sums(students: Sequence[str], values: FloatArray) -> FloatArray:
    """Return each student's sums of values (episodes, ...), by student id."""
    place = {name: row for row, name in enumerate(sorted(set(students)))}
    sums = np.zeros((len(place), *values.shape[1:]))
    np.add.at(sums, [place[name] for name in students], values)
    return sums


def _effects(
    arms: Sequence[str],
    names: Sequence[str],
    students: Sequence[str],
    values: FloatArray,
    samples: int,
    seed: int,
) -> list[Effect]:
    """Return an effect for each arm and outcome, p values not adjusted."""
    episodes = len(values)
    against = (values[:, 1:] - values[:, :1]).reshape(episodes, -1)
    both = np.concatenate([values.reshape(episodes, -1), against], axis=1)
    there = [
        interval
        for interval in intervals(
            _mean_of(students, both), len(set(students)), samples=samples, seed=seed
        )
        if interval is not None  # every episode has a value of every outcome
    ]
    p_values = sign_flip_p(
        student_sums(students, against), draws=DRAWS_A_TEST * against.shape[1], seed=seed
    )
    keys = [(arm, name) for arm in arms for name in names]
    changes = map(Difference, there[len(keys) :], p_values.tolist())
    return [
        Effect(arm, name, mean, change, None)
        for (arm, name), mean, change in zip(
            keys, there[: len(keys)], [*[None] * len(names), *changes], strict=True
        )
    ]


def _mean_of(students: Sequence[str], values: FloatArray) -> Statistic:
    """Return the means over episodes of values (episodes, columns), as a statistic of students."""
    ones = np.ones((len(values), 1))
    sums = student_sums(students, np.concatenate([values, ones], axis=1))
    return of_sums(sums, lambda drawn: ratio(drawn[:, :-1], drawn[:, -1:]))


def _parts(
    arms: Sequence[str],
    skill: FloatArray,
    students: Sequence[str],
    values: FloatArray,
    samples: int,
    seed: int,
) -> tuple[Part, ...]:
    names = tuple(one.name for one in OUTCOMES if one.of_students)
    columns = [place for place, one in enumerate(OUTCOMES) if one.of_students]
    part_of = np.searchsorted(np.quantile(skill, (1 / 3, 2 / 3)), skill, side="left")
    parts = []
    for number, name in enumerate(PARTS):
        inside = part_of == number
        if not inside.any():
            continue
        theirs = [student for student, here in zip(students, inside, strict=True) if here]
        enough = len(set(theirs)) > 1
        chosen = values[inside][:, :, columns]
        parts.append(
            Part(
                name=name,
                lowest=float(skill[inside].min()),
                highest=float(skill[inside].max()),
                students=len(set(theirs)),
                episodes=int(inside.sum()),
                effects=tuple(_effects(arms, names, theirs, chosen, samples, seed))
                if enough
                else (),
            )
        )
    return tuple(parts)
