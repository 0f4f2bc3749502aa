"""Sampled runs: best of n, and distances between distributions of grades."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import METRICS, student_intervals
from novicegym.eval.metrics import ScoredStep, summarize
from novicegym.eval.samples import best_of, grade_distances, sampled_scores

LOGGED = (0.0, 0.5, 1.0, 0.25, 0.5, 0.75)


def run_of(*grades: float | None, students: int = 3) -> list[ScoredStep]:
    """Return rollouts of two steps, the students taking turns; CodeBLEU is 1 - half the grade."""
    return [
        ScoredStep(
            student_id=f"s{(index // 2) % students}",
            assignment_id="a",
            position=3 + index // (2 * students),
            step=1 + index % 2,
            has_counterpart=True,
            has_code=grade is not None,
            logged_grade=logged,
            grade=grade,
            grade_proximity=None if grade is None else 1 - abs(grade - logged),
            codebleu=None if grade is None else 1 - grade / 2,
            codebleu_corrected=None if grade is None else 1 - grade / 2,
            solved=grade == 1,
        )
        for index, (grade, logged) in enumerate(zip(grades, LOGGED, strict=True))
    ]


graded = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.75, 1.0])
grades = st.lists(st.none() | graded, min_size=6, max_size=6)
several = st.lists(grades, min_size=2, max_size=4)


def naive_energy_distance(runs: list[list[ScoredStep]], step: int | None) -> float | None:
    """Return 2 E|X-Y| - E|X-X'| - E|Y-Y'| over pairs of rows of different students."""
    rows = [one for run in runs for one in run if one.valid and step in (None, one.step)]
    pairs = [(a, b) for a, b in permutations(rows, 2) if a.student_id != b.student_id]
    if not pairs:
        return None

    def apart(first: str, second: str) -> float:
        return float(np.mean([abs(getattr(a, first) - getattr(b, second)) for a, b in pairs]))

    return (
        2 * apart("grade", "logged_grade")
        - apart("grade", "grade")
        - apart("logged_grade", "logged_grade")
    )


@settings(max_examples=50, deadline=None)
@given(several)
def test_the_energy_distance_is_over_all_pairs_of_different_students(
    values: list[list[float | None]],
) -> None:
    runs = [run_of(*one) for one in values]
    for found in grade_distances(runs, samples=30):
        wanted = naive_energy_distance(runs, found.step)
        if found.energy_distance is None:
            assert wanted is None
        else:
            assert found.energy_distance.value == pytest.approx(wanted, abs=1e-12)


def test_steps_are_told_apart_and_the_last_is_all_together() -> None:
    found = grade_distances([run_of(*LOGGED), run_of(*LOGGED)], samples=20)
    assert [one.step for one in found] == [1, 2, None]
    for one in found:
        assert one.energy_distance is not None
        assert (one.energy_distance.low, one.energy_distance.high) == (0, 0)
        assert one.energy_score is not None
        assert one.energy_score.value == 0


def many(seed: int, simulated: tuple[float, ...], students: int = 80) -> list[ScoredStep]:
    """Return one step for each student, logged as drawn from 0, 0.5 and 1."""
    rng = np.random.default_rng(seed)
    [one] = run_of(*LOGGED)[:1]
    return [
        replace(
            one,
            student_id=f"s{index}",
            grade=float(rng.choice(simulated)),
            logged_grade=float(rng.choice((0.0, 0.5, 1.0))),
        )
        for index in range(students)
    ]


def test_equal_distributions_are_0_apart_on_average_and_others_are_not() -> None:
    same, other = [], []
    for seed in range(60):
        for collected, grades_ in ((same, (0.0, 0.5, 1.0)), (other, (0.0, 0.0, 1.0))):
            found = grade_distances([many(seed, grades_)], samples=1)[-1].energy_distance
            assert found is not None
            collected.append(found.value)
    error = np.std(same) / np.sqrt(len(same))
    assert abs(np.mean(same)) < 3 * error
    assert min(same) < 0
    # Cumulative shares 2/3, 2/3 against 1/3, 2/3: twice 1/9 over half the range.
    assert np.mean(other) == pytest.approx(1 / 9, abs=0.02)


def test_the_interval_of_a_distance_lies_around_it() -> None:
    found = grade_distances([many(0, (0.0, 0.0, 1.0))], samples=300)[-1].energy_distance
    assert found is not None
    assert found.low < found.value < found.high
    assert found.low > 0
    assert found.high < 0.3


@settings(deadline=None)
@given(grades)
def test_the_energy_score_of_one_certain_answer_is_what_grade_proximity_lacks(
    values: list[float | None],
) -> None:
    run = run_of(*values)
    score = grade_distances([run, run, run], samples=5)[-1].energy_score
    wanted = summarize(run).grade_proximity.micro
    assert (score is None) == (wanted is None)
    if score is not None:
        assert wanted is not None
        assert score.value == pytest.approx(1 - wanted, abs=1e-12)


def test_the_energy_score_is_fair_to_few_samples() -> None:
    """0 and 1 for a student at 0: E|X-y| is 1/2, E|X-X'| over different samples 1."""
    first, second = run_of(0, *LOGGED[1:]), run_of(1, *LOGGED[1:])
    step = grade_distances([first, second], samples=5)[0]
    assert step.energy_score is not None
    assert step.energy_score.value == pytest.approx(0)
    lone = grade_distances([first], samples=5)
    assert {one.energy_score for one in lone} == {None}


@settings(deadline=None)
@given(several)
def test_the_best_of_n_is_no_worse_than_any_and_somewhere_reached(
    values: list[list[float | None]],
) -> None:
    runs = [run_of(*one) for one in values]
    best = best_of(runs)
    for one, others in zip(best, zip(*runs, strict=True), strict=True):
        assert one.has_code == any(other.has_code for other in others)
        for name in ("grade_proximity", "codebleu", "codebleu_corrected"):
            there = [getattr(other, name) for other in others if other.has_code]
            assert getattr(one, name) == max(there, default=None)
        if one.has_code:
            assert one.grade_proximity == 1 - abs(one.grade - one.logged_grade)
    assert best_of([runs[0]]) == [
        replace(
            one,
            solved=any(
                o.solved
                for o in runs[0]
                if o.position == one.position and o.student_id == one.student_id
            ),
        )
        for one in runs[0]
    ]


def test_greedy_mean_and_best_stand_beside_each_other() -> None:
    greedy, worse, better = run_of(*[0.5] * 6), run_of(*[0] * 6), run_of(*LOGGED)
    found = sampled_scores([worse, better], greedy, samples=20)
    assert found.samples == 2
    assert found.greedy is not None
    assert found.greedy.overall == student_intervals([greedy], samples=20)
    assert found.mean.overall == student_intervals([worse, better], samples=20)
    proximity = found.best.overall["grade_proximity"]
    assert proximity is not None
    assert (proximity.value, proximity.low, proximity.high) == (1, 1, 1)
    assert list(found.best.steps) == [1, 2]
    assert list(found.best.steps[1]) == list(METRICS)
    assert sampled_scores([worse, better], samples=20).greedy is None


def test_nothing_covered_has_no_distance() -> None:
    silent = run_of(*[None] * 6)
    found = sampled_scores([silent, silent], samples=5)
    assert {one.energy_distance for one in found.distances} == {None}
    assert found.best.overall["grade_proximity"] is None


def test_what_cannot_be_compared_is_a_usage_error() -> None:
    run = run_of(*LOGGED)
    with pytest.raises(UsageError, match="at least 2 sampled runs, got 1"):
        sampled_scores([run])
    with pytest.raises(UsageError, match="do not start from the same"):
        sampled_scores([run, run], run[1:])
    with pytest.raises(UsageError, match="at least one run"):
        best_of([])
