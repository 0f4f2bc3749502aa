"""The AUC of held-out folds, against its definition and scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.eval.judges import Panel, RocCurve

slot = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2), st.integers(0, 3))


def by_definition(logged: list[int], simulated: list[int], weights: list[int]) -> float:
    pairs = won = 0.0
    for a, wa in zip(logged, weights, strict=True):
        for b, wb in zip(simulated, weights, strict=True):
            pairs += wa * wb
            won += wa * wb * ((b > a) + (b == a) / 2)
    return won / pairs


@settings(max_examples=100, deadline=None)
@given(st.lists(slot, min_size=1, max_size=20).filter(lambda slots: any(s[3] for s in slots)))
def test_area_is_the_weighted_mean_of_the_folds(slots: list[tuple[int, int, int, int]]) -> None:
    logged, simulated, fold, weights = (np.array(column) for column in zip(*slots, strict=True))
    found = RocCurve(np.array([logged, simulated], float), fold).area(weights.astype(float))
    wanted = 0.0
    for number in range(3):
        mine = [one for one in slots if one[2] == number]
        if size := sum(one[3] for one in mine):
            area = by_definition(*([one[i] for one in mine] for i in (0, 1, 3)))
            wanted += size / weights.sum() * area
    assert found == pytest.approx(wanted, abs=1e-12)


def test_area_of_one_fold_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal([[0.0], [0.5]], 1.0, size=(2, 300)), 1)  # with ties
    weights = rng.integers(1, 60, 300).astype(float)
    found = RocCurve(scores, np.zeros(300, dtype=np.int64)).area(weights)
    wanted = metrics.roc_auc_score(
        np.repeat([0, 1], 300), scores.ravel(), sample_weight=np.tile(weights, 2)
    )
    assert found == pytest.approx(wanted, abs=1e-12)


def test_weights_times_a_draw_are_the_slots_of_the_drawn() -> None:
    rng = np.random.default_rng(1)
    scores, fold = rng.normal(size=(2, 40)), np.arange(40) % 3
    counts = rng.integers(0, 3, 40)
    repeated = RocCurve(np.repeat(scores, counts, axis=1), np.repeat(fold, counts))
    drawn = RocCurve(scores, fold).area(counts.astype(float))
    assert drawn == pytest.approx(repeated.area(np.ones(counts.sum())), abs=1e-12)


def test_a_judge_does_not_learn_from_those_it_judges() -> None:
    """Scores of a fold stay the same whatever its transitions are called."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(2)
    table = rng.normal(size=(120, 4))
    places = np.arange(120).reshape(2, 60)
    fold = np.arange(60) % 2
    panel = Panel.learn(table, places, np.ones(60), fold, seed=0)
    swapped = places.copy()
    swapped[:, fold == 0] = places[::-1, fold == 0]
    other = Panel.learn(table, swapped, np.ones(60), fold, seed=0)
    rows = table[places]
    assert np.array_equal(panel.scores(rows)[:, fold == 0], other.scores(rows)[:, fold == 0])
    assert not np.array_equal(panel.scores(rows)[:, fold == 1], other.scores(rows)[:, fold == 1])


def test_a_copy_of_a_transition_teaches_no_more_than_its_weight() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(3)
    table = rng.normal(size=(160, 3))
    places = np.arange(160).reshape(2, 80)
    fold = np.arange(80) % 2
    once = Panel.learn(table, places, np.ones(80), fold, seed=0)
    thrice = Panel.learn(
        table, np.repeat(places, 3, axis=1), np.full(240, 1 / 3), np.repeat(fold, 3), seed=0
    )
    again = thrice.scores(table[np.repeat(places, 3, axis=1)])[:, ::3]
    assert np.allclose(once.scores(table[places]), again, atol=1e-6)


def test_shuffling_what_tells_leaves_nothing_to_tell() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(2, 200, 2))
    rows[1, :, 0] += 3
    table, places = rows.reshape(400, 2), np.arange(400).reshape(2, 200)
    fold, even = np.arange(200) % 4, np.ones(200)
    panel = Panel.learn(table, places, even, fold, seed=0)
    assert RocCurve(panel.scores(rows), fold).area(even) > 0.95
    assert math.isclose(panel.without(rows, [0], rng).area(even), 0.5, abs_tol=0.1)
    assert panel.without(rows, [1], rng).area(even) > 0.95
