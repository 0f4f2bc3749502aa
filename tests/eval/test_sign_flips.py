"""p values by flipping signs: exact with few students, and not too small with any number."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import DRAWS_A_TEST, holm
from novicegym.eval.sign_flips import sign_flip_p


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


@pytest.mark.parametrize(
    ("students", "p"), [(1, 1), (2, 1 / 2), (3, 1 / 4), (4, 1 / 8), (6, 1 / 32)]
)
def test_few_students_who_are_all_helped_are_little_evidence(students: int, p: float) -> None:
    assert sign_flip_p(column(*[0.5] * students), draws=1000) == [p]


def test_all_ways_are_counted() -> None:
    rng = np.random.default_rng(0)
    # Tenths do not add up exactly: ties are ties in any order.
    sums = rng.integers(-3, 6, (7, 5)) / 10
    totals = np.abs([signs @ sums for signs in product((-1, 1), repeat=7)])
    wanted = (totals >= np.abs(sums.sum(axis=0)) - 1e-12).mean(axis=0)
    assert sign_flip_p(sums, draws=64).tolist() == wanted.tolist()


def test_drawn_signs_say_nearly_the_same_and_never_less_than_one_of_them() -> None:
    rng = np.random.default_rng(1)
    sums = rng.normal(0.3, 1.0, (12, 6))
    drawn = sign_flip_p(sums, draws=2047)
    assert drawn == pytest.approx(sign_flip_p(sums, draws=2048), abs=0.04)
    assert drawn.tolist() == sign_flip_p(sums, draws=2047).tolist()
    assert drawn.tolist() != sign_flip_p(sums, draws=2047, seed=1).tolist()
    assert sign_flip_p(column(*[1.0] * 300), draws=999) == [1 / 1000]


def test_no_difference_is_no_evidence_and_students_without_one_do_not_count() -> None:
    assert sign_flip_p(np.zeros((9, 2)), draws=1000).tolist() == [1, 1]
    assert sign_flip_p(column(1, 1, 1, 0, 0), draws=1000) == [1 / 4]


@pytest.mark.parametrize("students", [6, 12, 24])
def test_tutors_who_do_nothing_are_seldom_called_different(students: int) -> None:
    """Four of them, eight outcomes each, of a few values and much alike within a student."""
    wrong, trials = 0, 200
    for trial in range(trials):
        rng = np.random.default_rng([students, trial])
        solved = rng.random((students, 2, 5, 4)) < rng.random((students, 1, 1, 1))
        others = rng.integers(1, 10, (students, 2, 5, 4)) * solved
        values = np.concatenate([solved, others], axis=3).astype(np.float64)
        against = (values[:, :, 1:] - values[:, :, :1]).sum(axis=1).reshape(students, -1)
        p = sign_flip_p(against, draws=DRAWS_A_TEST * 8, seed=trial)
        wrong += min(holm(dict(enumerate(p.tolist()))).values()) < 0.05
    # 5 % of them, and three standard errors.
    assert wrong / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_nobody_and_no_draws_are_refused() -> None:
    with pytest.raises(UsageError, match="got 0 and 5"):
        sign_flip_p(np.zeros((0, 1)), draws=5)
    with pytest.raises(UsageError, match="got 3 and 0"):
        sign_flip_p(np.zeros((3, 1)), draws=0)
