"""Intervals by student: on runs whose intervals are known, and what may not move them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.eval import bootstrap
from novicegym.eval.bootstrap import (
    METRICS,
    STATISTICS,
    TooFewError,
    draw_counts,
    holm,
    intervals,
    intervals_if_possible,
    of_sums,
    paired_differences,
    ratio,
    step_intervals,
    student_intervals,
)
from novicegym.eval.metrics import ScoredStep, summarize


def step(student: str, value: float | None, number: int = 1, position: int = 3) -> ScoredStep:
    """Return a step whose every comparison gives `value`; None: the policy has no counterpart."""
    return ScoredStep(
        student_id=student,
        assignment_id="a",
        position=position,
        step=number,
        has_counterpart=True,
        has_code=value is not None,
        logged_grade=1.0,
        grade=value,
        grade_proximity=value,
        codebleu=value,
        codebleu_corrected=value,
        solved=value is None,
    )


def in_the_table(runs: Sequence[Sequence[ScoredStep]]) -> dict[str, float | None]:
    """Return STATISTICS as summarize() has them, averaged over the runs that have them."""
    metrics = [summarize(run) for run in runs]
    found: dict[str, float | None] = {}
    for name in METRICS:
        averages = [getattr(one, name) for one in metrics]
        shown = [one.micro if name == "coverage" else one.macro for one in averages]
        losses = [one.degradation for one in averages]
        for key, values in ((name, shown), (f"{name}_degradation", losses)):
            there = [value for value in values if value is not None]
            found[key] = sum(there) / len(there) if there else None
    return found


values = st.floats(0, 1, width=32)
runs = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.none() | values, st.integers(1, 3)), min_size=2
).filter(lambda run: len({student for student, *_ in run}) > 1)


def close(value: float | None) -> object:
    return None if value is None else pytest.approx(value, abs=1e-12)


@settings(deadline=None)
@given(runs)
def test_the_value_is_the_tables(run: list[tuple[str, float | None, int]]) -> None:
    steps = [step(*one) for one in run]
    found = student_intervals([steps], samples=20)
    expected = in_the_table([steps])
    assert list(found) == list(STATISTICS)
    for name, interval in found.items():
        assert (interval.value if interval else None) == close(expected[name])
        assert interval is None or interval.low <= interval.high
    by_step = step_intervals([steps], samples=20)
    for wanted in summarize(steps).steps:
        for name, interval in by_step[wanted.step].items():
            assert (interval.value if interval else None) == close(getattr(wanted, name))


@settings(max_examples=30, deadline=None)
@given(runs, runs, st.integers(0, 9))
def test_intervals_are_those_of_drawing_the_records_of_students_anew(
    run: list[tuple[str, float | None, int]], other: list[tuple[str, float | None, int]], seed: int
) -> None:
    both = [[step(*one) for one in run], [step(*one) for one in other]]
    students = sorted({one.student_id for steps in both for one in steps})
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(50):
        chosen = [students[i] for i in rng.integers(len(students), size=len(students))]
        drawn.append(
            in_the_table(
                [
                    [one for name in chosen for one in steps if one.student_id == name]
                    for steps in both
                ]
            )
        )
    for name, interval in student_intervals(both, samples=50, seed=seed).items():
        there = [one[name] for one in drawn if one[name] is not None]
        if interval is not None:
            low, high = np.quantile(np.array(there, dtype=float), (0.025, 0.975))
            assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)


def test_draws_do_not_depend_on_how_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(draw_counts(7, 50, seed=1)))
    monkeypatch.setattr(bootstrap, "_CELLS", 20)
    parts = list(draw_counts(7, 50, seed=1))
    assert len(parts) > 1
    assert (np.concatenate(parts) == whole).all()
    assert (whole.sum(axis=1) == 7).all()


def test_students_who_are_alike_leave_no_doubt() -> None:
    run = [step(student, value) for student in "abcd" for value in (0.2, 0.6)]
    for name in ("grade_proximity", "codebleu"):
        found = student_intervals([run])[name]
        assert found is not None
        assert (found.low, found.high) == pytest.approx((0.4, 0.4))


def test_more_steps_of_the_same_students_do_not_narrow_the_interval() -> None:
    """What drawing single steps would do: a hundred equal ones are one student's."""
    rng = np.random.default_rng(0)
    once = [step(f"s{index}", value) for index, value in enumerate(rng.random(30))]
    often = [one for one in once for _ in range(100)]
    alone, repeated = student_intervals([once]), student_intervals([often])
    for name in METRICS:
        one, other = alone[name], repeated[name]
        assert one is not None
        assert other is not None
        assert (other.low, other.high) == pytest.approx((one.low, one.high))


def test_the_interval_is_as_wide_as_theory_says() -> None:
    """The mean over n students: 1.96 standard errors to each side."""
    rng = np.random.default_rng(1)
    drawn = rng.random(200)
    found = student_intervals(
        [[step(f"s{index}", value) for index, value in enumerate(drawn)]], samples=4000
    )["grade_proximity"]
    assert found is not None
    half = 1.96 * drawn.std() / math.sqrt(len(drawn))
    assert found.low == pytest.approx(drawn.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(drawn.mean() + half, abs=0.1 * half)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    """Means of students of unequal size and level: the truth is 0.5."""
    rng = np.random.default_rng(2)
    held = 0
    for trial in range(300):
        sizes = rng.integers(1, 20, size=60)
        levels = rng.uniform(0.2, 0.8, size=60)
        sums = np.stack([rng.binomial(sizes, levels), sizes], axis=1).astype(float)
        [found] = intervals(
            of_sums(sums, lambda drawn: ratio(drawn[:, :1], drawn[:, 1:])),
            60,
            samples=300,
            seed=trial,
        )
        assert found is not None
        held += found.low <= 0.5 <= found.high
    assert 0.91 < held / 300 < 0.98


def test_seeds_are_averaged_over_the_same_draws_of_students() -> None:
    """Where two runs err by the same amounts up and down, their mean errs not at all."""
    rng = np.random.default_rng(2)
    errors = rng.random(20) / 2
    up = [step(f"s{index}", 0.5 + error) for index, error in enumerate(errors)]
    down = [step(f"s{index}", 0.5 - error) for index, error in enumerate(errors)]
    found = student_intervals([up, down])["codebleu"]
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_same_seed_same_interval_whatever_the_order_of_records() -> None:
    rng = np.random.default_rng(3)
    run = [step(f"s{index % 10}", value) for index, value in enumerate(rng.random(40))]
    first = student_intervals([run], seed=3)["codebleu"]
    assert first is not None
    assert student_intervals([run], seed=3)["codebleu"] == first
    assert student_intervals([run], seed=4)["codebleu"] != first
    other = student_intervals([[run[index] for index in rng.permutation(40)]], seed=3)["codebleu"]
    assert other is not None
    assert (other.low, other.high) == pytest.approx((first.low, first.high))


def test_one_student_is_too_few() -> None:
    run = [step("a", 0.5), replace(step("a", 0.7), position=4)]
    with pytest.raises(TooFewError, match="at least 2 students, got 1"):
        student_intervals([run])
    assert intervals_if_possible([run]) == dict.fromkeys(STATISTICS)
    assert intervals_if_possible([]) == dict.fromkeys(STATISTICS)


def test_a_policy_that_covers_nothing_has_coverage_0_and_no_other_value() -> None:
    found = student_intervals([[step(student, None, k) for student in "abc" for k in (1, 2)]])
    coverage = found.pop("coverage")
    assert coverage is not None
    assert (coverage.value, coverage.low, coverage.high) == (0, 0, 0)
    loss = found.pop("coverage_degradation")
    assert loss is not None
    assert (loss.value, loss.low, loss.high) == (0, 0, 0)
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"samples": 0}, "samples must be at least 1, got 0"), ({"level": 95.0}, "got 95")],
)
def test_impossible_options_are_usage_errors(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        student_intervals([[step("a", 0.5), step("b", 0.5)]], **options)  # type: ignore[arg-type]


def levels(seed: int, students: int = 40) -> list[ScoredStep]:
    rng = np.random.default_rng(seed)
    return [step(f"s{index}", value) for index, value in enumerate(rng.random(students))]


def raised(run: list[ScoredStep], by: float) -> list[ScoredStep]:
    return [
        replace(one, grade_proximity=None if one.grade is None else one.grade + by) for one in run
    ]


def test_what_all_students_share_makes_a_sure_difference_of_unsure_values() -> None:
    run = levels(5)
    better = raised(run, 0.01)
    found = paired_differences([run], [better], samples=400)["grade_proximity"]
    assert found is not None
    assert found.interval.value == pytest.approx(0.01)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.01, 0.01))
    assert found.p == pytest.approx(2 / 401)
    alone = student_intervals([run])["grade_proximity"]
    assert alone is not None
    assert alone.high - alone.low > 0.1


def test_a_policy_does_not_differ_from_itself() -> None:
    run = levels(6)
    for found in paired_differences([run], [list(reversed(run))], samples=100).values():
        if found is not None:
            assert found.interval.value == pytest.approx(0, abs=1e-12)
            assert found.p == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(-0.2, 0.2))
def test_the_p_value_says_what_the_interval_says_and_direction_only_turns_it(
    seed: int, by: float
) -> None:
    first, second = levels(seed), raised(levels(seed + 1), by)
    found = paired_differences([first], [second], samples=399)["grade_proximity"]
    turned = paired_differences([second], [first], samples=399)["grade_proximity"]
    assert found is not None
    assert turned is not None
    assert turned.p == found.p
    assert turned.interval.low == pytest.approx(-found.interval.high)
    if found.p < 0.04:
        assert not found.interval.low <= 0 <= found.interval.high
    if found.p > 0.06:
        assert found.interval.low <= 0 <= found.interval.high


def test_equal_policies_seldom_look_different() -> None:
    p_values = []
    for seed in range(150):
        found = paired_differences([levels(seed)], [levels(1000 + seed)], samples=200)
        difference = found["grade_proximity"]
        assert difference is not None
        p_values.append(difference.p)
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.11


def test_only_what_both_have_is_compared() -> None:
    nothing = [replace(one, has_code=False, grade_proximity=None) for one in levels(7)]
    found = paired_differences([levels(7)], [nothing], samples=20)
    assert found["grade_proximity"] is None
    coverage = found["coverage"]
    assert coverage is not None
    assert coverage.interval.value == -1


def test_policies_from_different_starts_are_not_compared() -> None:
    with pytest.raises(UsageError, match=r"1 steps only in run 2, 0 only in run 1"):
        paired_differences([levels(8)], [[*levels(8), step("s0", 0.5, 2)]])
    with pytest.raises(UsageError, match="at least one run"):
        paired_differences([], [])


def test_holm_by_a_worked_example() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert list(adjusted.values()) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm({}) == {}


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferronis_and_keeps_the_order(
    p_values: list[float],
) -> None:
    family = dict(enumerate(p_values))
    adjusted = holm(family)
    for key, p in family.items():
        assert p <= adjusted[key] <= min(1.0, len(family) * p)
        for other in family:
            assert p > family[other] or adjusted[key] <= adjusted[other]
