"""Power: by theory where there is one, and 5 % where there is nothing to see."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import FloatArray, TooFewError
from novicegym.eval.power import DESIGNS, LEAST, Design, power_curve


def pilot(effect: float, students: int = 80) -> tuple[FloatArray, FloatArray]:
    """Sums and counts of students with one to three episodes; differences have deviation 1."""
    rng = np.random.default_rng(5)
    counts = rng.integers(1, 4, students).astype(float)
    own = rng.normal(0, 1, students) * counts
    changed = own + (effect + rng.normal(0, 1, students)) * counts
    return np.stack([own, counts], axis=1), np.stack([changed, counts], axis=1)


@pytest.mark.parametrize("design", DESIGNS)
def test_power_grows_with_the_students_and_is_the_level_without_an_effect(design: Design) -> None:
    control, treated = pilot(0.3)
    found = power_curve(control, treated, design=design, effect=0.3)
    powers = [one.power for one in found.curve]
    assert all(before <= after + 0.03 for before, after in pairwise(powers))
    assert powers[-1] > 0.99
    assert found.needed is not None
    assert found.needed.power >= 0.8
    nothing = power_curve(control, treated, design=design, effect=0.0)
    # Four standard errors of 2,000 trials are 0.02.
    assert all(abs(one.power - 0.05) < 0.02 for one in nothing.curve if one.students >= 50)
    assert nothing.needed is None


def test_the_number_needed_is_that_of_the_formula() -> None:
    """Paired, one episode each, normal: n = (1.96 + 0.84)^2 / d^2, and 2 more for the t test."""
    rng = np.random.default_rng(0)
    scatter = rng.normal(0, 1, 300)
    scatter = (scatter - scatter.mean()) / scatter.std()
    ones = np.ones(300)
    control = np.stack([np.zeros(300), ones], axis=1)
    treated = np.stack([scatter + 0.4, ones], axis=1)
    found = power_curve(control, treated, design="paired")
    assert found.effect == pytest.approx(0.4)
    assert not found.is_given
    assert found.needed is not None
    assert found.needed.students == pytest.approx((1.96 + 0.8416) ** 2 / 0.16 + 2, abs=4)


def test_with_the_same_scatter_in_both_arms_pairing_needs_fewer() -> None:
    rng = np.random.default_rng(1)
    own, ones = rng.normal(0, 1, 100), np.ones(100)
    control = np.stack([own, ones], axis=1)
    treated = np.stack([own + rng.normal(0.2, 0.2, 100), ones], axis=1)
    paired, groups = (
        power_curve(control, treated, design=design, simulations=400) for design in DESIGNS
    )
    assert paired.needed is not None
    assert groups.needed is not None
    assert paired.needed.students < groups.needed.students / 5
    assert groups.needed.episodes == pytest.approx(groups.needed.students / 2, abs=1)


def test_an_effect_that_is_asked_for_takes_the_place_of_the_one_found() -> None:
    control, treated = pilot(0.5)
    small, found, large = (
        power_curve(control, treated, design="paired", effect=effect, span=(-1.5, 2.5))
        for effect in (0.2, None, 1.0)
    )
    assert (small.is_given, found.is_given) == (True, False)
    assert small.needed is not None
    assert found.needed is not None
    assert large.needed is not None
    assert small.needed.students > found.needed.students > large.needed.students >= LEAST
    other_way = power_curve(control, treated, design="paired", effect=-found.effect)
    assert other_way.needed is not None
    assert other_way.needed.students == pytest.approx(found.needed.students, rel=0.2)


def binary(both: int, treated: int, control: int, neither: int) -> tuple[FloatArray, FloatArray]:
    """One episode a student, by who solves it: under both, under one arm alone, under neither."""
    ones = np.ones(both + treated + control + neither)
    of_control, of_treated = (
        np.repeat(solved, (both, treated, control, neither)).astype(float)
        for solved in ((1, 0, 1, 0), (1, 1, 0, 0))
    )
    return np.stack([of_control, ones], axis=1), np.stack([of_treated, ones], axis=1)


@pytest.mark.parametrize("effect", [0.05, -0.05])
@pytest.mark.parametrize("discordant", [0, 20])
def test_an_effect_beyond_the_one_found_has_the_scatter_of_solved_or_not(
    discordant: int, effect: float
) -> None:
    """Paired, found effect 0: the variance is of students who differ anyway and of those added."""
    control, treated = binary(50, discordant, discordant, 50)
    found = power_curve(control, treated, design="paired", effect=effect)
    variance = 2 * discordant / len(control) + abs(effect) - effect**2
    assert found.needed is not None
    expected = (1.96 + 0.8416) ** 2 * variance / effect**2
    # Where nobody differs the other way, a t test needs but four who do: the formula is rough.
    assert found.needed.students == pytest.approx(expected, rel=0.1 if discordant else 0.3)
    at = {one.students: one.power for one in found.curve}
    assert at[10] < 0.2
    assert at[200 if discordant else 50] < 0.3


def test_what_is_added_to_a_found_effect_keeps_its_scatter() -> None:
    control, treated = binary(40, 20, 10, 30)
    found = power_curve(control, treated, design="paired", effect=0.2)
    assert found.needed is not None
    # 0.1 is found; of the 40 who fail under the tutor a quarter solve, a quarter of 10 both alike.
    helped, harmed = (20 + 30 / 4) / 100, (10 - 10 / 4) / 100
    variance = helped + harmed - 0.2**2
    expected = (1.96 + 0.8416) ** 2 * variance / 0.2**2
    assert found.needed.students == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("design", DESIGNS)
def test_grades_and_submissions_of_several_episodes_move_within_their_span(design: Design) -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 5, 60).astype(float)
    sums = np.array([rng.integers(1, 11, int(count)).sum() for count in counts], dtype=float)
    pilot_of = np.stack([sums, counts], axis=1)
    found = power_curve(pilot_of, pilot_of, design=design, effect=-1.0, span=(1.0, 10.0))
    assert found.needed is not None
    assert 10 < found.needed.students < 2000
    assert found.effect == -1.0
    below = float(sums.sum() / counts.sum()) - 1
    power_curve(pilot_of, pilot_of, design=design, effect=-below, span=(1, 10), simulations=50)
    with pytest.raises(UsageError, match="no episode goes beyond 1"):
        power_curve(pilot_of, pilot_of, design=design, effect=-below - 0.01, span=(1.0, 10.0))
    share = binary(40, 0, 0, 60)
    with pytest.raises(UsageError, match=r"\+0\.7 on solved cannot be"):
        power_curve(*share, design=design, effect=0.7, outcome="solved")


def test_the_same_seed_gives_the_same_power() -> None:
    control, treated = pilot(0.4)
    one, two, other = (
        power_curve(control, treated, design="groups", simulations=200, seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one != other


def test_what_nobody_shows_cannot_be_seen() -> None:
    control = np.stack([np.zeros(5), np.ones(5)], axis=1)
    found = power_curve(control, control, design="paired")
    assert found.effect == 0
    assert found.needed is None
    assert {one.power for one in found.curve} == {0.0}


def test_impossible_settings_are_named() -> None:
    control, treated = pilot(0.1)
    with pytest.raises(UsageError, match="must be a number"):
        power_curve(control, treated, design="paired", effect=float("nan"))
    with pytest.raises(TooFewError, match="at least 2 students"):
        power_curve(control[:1], treated[:1], design="paired")
