"""How many students it takes to see the effects of a trial, or others that are asked for.

Covered: the outcomes of what students do, each arm against the control, in both designs of
`novicegym.eval.power`. Not covered: leaks, messages and failures, which need no real students.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from novicegym.errors import UsageError, unknown_name
from novicegym.eval.power import DESIGNS, PowerCurve, power_curve
from novicegym.eval.trial import outcome_values, student_sums
from novicegym.eval.trial_episodes import OUTCOMES, TutoredEpisode

STUDENT_OUTCOMES = tuple(one.name for one in OUTCOMES if one.of_students)


def check_effects(effects: Mapping[str, float], horizon: int) -> None:
    """Raise UsageError for what no trial of so many submissions can find.

    effects: by outcome, as `power_curves` takes them. One that is possible may still be beyond
    what the control leaves to gain: that is known when the trial was played.
    """
    for name, effect in effects.items():
        if name not in STUDENT_OUTCOMES:
            raise unknown_name("outcome", name, STUDENT_OUTCOMES)
        lowest, highest = _span(name, horizon)
        if not 0 < abs(effect) <= highest - lowest:
            raise UsageError(
                f"an effect on {name} is a number other than 0 from {lowest - highest:g} to "
                f"{highest - lowest:g}, got {effect:g}"
            )


def power_curves(
    arms: Mapping[str, Sequence[TutoredEpisode]],
    effects: Mapping[str, float],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[PowerCurve]:
    """Return the power for the effects asked for, or without any for all that the trial found.

    arms: the episodes of each, the control first. effects: by outcome. progress: called with how
    many curves are done, of how many. Raises UsageError for an effect that cannot be with these
    students, as of 0.5 where 0.7 is solved, and for fewer than two of them.
    """
    control, *others = arms
    students = [one.key[0] for one in arms[control]]
    horizon = arms[control][0].horizon
    names = list(effects) or list(STUDENT_OUTCOMES)
    values = outcome_values(arms, names)
    asked = [
        (design, arm, place)
        for design in DESIGNS
        for arm in range(len(others))
        for place in range(len(names))
    ]
    curves = []
    for done, (design, arm, place) in enumerate(asked):
        progress(done, len(asked))
        of_control, of_arm = (
            student_sums(students, np.stack([column, np.ones(len(column))], axis=1))
            for column in (values[:, 0, place], values[:, arm + 1, place])
        )
        curves.append(
            power_curve(
                of_control,
                of_arm,
                design=design,
                effect=effects.get(names[place]),
                span=_span(names[place], horizon),
                arm=others[arm],
                outcome=names[place],
                seed=seed,
            )
        )
    progress(len(asked), len(asked))
    return curves


def _span(outcome: str, horizon: int) -> tuple[float, float]:
    """Return the lowest and the highest value of an episode."""
    return (1.0, float(horizon)) if outcome == "submissions" else (0.0, 1.0)
