"""The power of a trial: which effects may be asked for, and what is made of the episodes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from novicegym.errors import UsageError
from novicegym.eval.power import DESIGNS
from novicegym.eval.trial_episodes import Turn, TutoredEpisode
from novicegym.eval.trial_power import STUDENT_OUTCOMES, check_effects, power_curves
from novicegym.grading.verdict import Verdict


def arm(*solved_at: int) -> list[TutoredEpisode]:
    """An episode for each student, solved by this submission; 0 for never."""
    before = (("x", Verdict(Fraction(0), "logical")),)
    return [
        TutoredEpisode(
            (f"s{number:02}", "a", 1),
            before,
            tuple(
                Turn("", "", 0.0, "x", Fraction(step == solved), "logical")
                for step in range(1, (solved or 4) + 1)
            ),
            horizon=4,
        )
        for number, solved in enumerate(solved_at)
    ]


ARMS = {
    "none": arm(0, 0, 0, 4, 3, 2, 1, 0, 0, 2),
    "weak": arm(0, 0, 4, 4, 3, 2, 1, 0, 0, 2),
    "strong": arm(1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
}


def test_what_was_found_is_looked_for_in_every_arm_and_design() -> None:
    told: list[tuple[int, int]] = []
    found = power_curves(ARMS, {}, progress=lambda done, total: told.append((done, total)))
    assert [(one.design, one.arm, one.outcome) for one in found] == [
        (design, name, outcome)
        for design in DESIGNS
        for name in ("weak", "strong")
        for outcome in STUDENT_OUTCOMES
    ]
    assert told == [(done, 12) for done in range(13)]
    effects = {(one.arm, one.outcome): one.effect for one in found}
    assert effects["weak", "solved"] == pytest.approx(0.1)
    assert effects["strong", "solved"] == pytest.approx(0.4)
    # Not solved counts as the horizon of 4, and solved in the last submission, too.
    assert effects["weak", "submissions"] == 0
    assert effects["strong", "submissions"] == pytest.approx(1.3 - 3.2)
    assert not any(one.is_given for one in found)


def test_an_effect_asked_for_is_looked_for_within_what_an_episode_can_be() -> None:
    # 3.2 submissions at first, at least 1: 2.2 fewer are possible, and no more.
    found = power_curves(ARMS, {"submissions": -2.2})
    assert {(one.outcome, one.effect, one.is_given) for one in found} == {
        ("submissions", -2.2, True)
    }
    with pytest.raises(UsageError, match="cannot be"):
        power_curves(ARMS, {"submissions": -2.3})


def test_what_no_trial_can_find_is_told_before_there_is_one() -> None:
    check_effects({"solved": -1.0, "submissions": 3.0, "final_grade": 0.5}, 4)
    with pytest.raises(UsageError, match=r"from -3 to 3, got 3\.5"):
        check_effects({"submissions": 3.5}, 4)
    for none in (0.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="other than 0 from -1 to 1"):
            check_effects({"solved": none}, 4)
    with pytest.raises(UsageError, match="outcome 'leak_max'"):
        check_effects({"leak_max": 0.5}, 4)
