"""Intervals by student: on runs whose intervals are known, and what may not move them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import METRICS, student_intervals
from novicegym.eval.metrics import ScoredStep, summarize


def step(student: str, value: float | None, number: int = 1) -> ScoredStep:
    """Return a step whose every comparison gives `value`; None: the policy has no counterpart."""
    return ScoredStep(
        student_id=student,
        assignment_id="a",
        position=3,
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


values = st.floats(0, 1, width=32)
runs = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.none() | values, st.integers(1, 3)), min_size=2
).filter(lambda run: len({student for student, *_ in run}) > 1)


@given(runs)
def test_the_value_is_the_tables_and_lies_in_its_interval_of_equal_students(
    run: list[tuple[str, float | None, int]],
) -> None:
    steps = [step(*one) for one in run]
    found = student_intervals([steps], samples=20)
    metrics = summarize(steps)
    for name in METRICS:
        average = getattr(metrics, name)
        expected = average.micro if name == "coverage" else average.macro
        interval = found[name]
        assert (interval is None) == (expected is None)
        if interval is not None:
            assert interval.value == expected
            assert interval.low <= interval.high


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
    with pytest.raises(UsageError, match="at least 2 students, got 1"):
        student_intervals([[step("a", 0.5), replace(step("a", 0.7), position=4)]])


def test_difference_is_between_policies_on_the_same_draws_of_students() -> None:
    """Students differ by far more than the policies do, who do so alike on all of them."""
    rng = np.random.default_rng(4)
    drawn = rng.random(30) / 2
    low = [step(f"s{index}", value) for index, value in enumerate(drawn)]
    high = [step(f"s{index}", value + 0.25) for index, value in enumerate(drawn)]
    found = student_intervals([high], against=[low])
    for name in ("grade_proximity", "codebleu"):
        gain = found[name]
        assert gain is not None
        assert (gain.value, gain.low, gain.high) == pytest.approx((0.25, 0.25, 0.25))
    assert found["coverage"] is not None
    assert found["coverage"].value == 0


def test_no_difference_to_a_policy_that_has_no_counterpart_at_all() -> None:
    there = [step(student, 0.5) for student in "abcd"]
    silent = [step(student, None) for student in "abcd"]
    found = student_intervals([there], against=[silent])
    assert found["codebleu"] is None
    coverage = found["coverage"]
    assert coverage is not None
    assert (coverage.low, coverage.value, coverage.high) == (1, 1, 1)
