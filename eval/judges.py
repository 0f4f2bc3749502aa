"""Who judges in the machine Turing test, and how well: classifiers by fold, and their AUC.

A judge is two classifiers whose log-odds are added; `novicegym.eval.realism` says why. Rows are
transitions, columns their features; a slot has one transition a side, the logged side first.

Covered: fitting, scoring held-out folds, and the AUC under any weights of the slots.
Not covered: which transitions are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from novicegym.errors import UsageError

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Panel:
    """Judges of one division into folds, each of the students that it did not learn from."""

    judges: Sequence[Sequence[Any]]
    """The classifiers of each fold."""
    fold: Ints
    """Of each slot."""

    @classmethod
    def learn(cls, table: Floats, places: Ints, weights: Floats, fold: Ints, seed: int) -> Panel:
        """Return a panel whose judges have learnt on all folds but their own."""
        judges = []
        for number in range(fold.max() + 1):
            rows, labels, counts = [], [], []
            for label, side in enumerate(places[:, fold != number]):
                distinct, copy_of = np.unique(side, return_inverse=True)
                rows.append(table[distinct])
                labels.append(np.full(len(distinct), label))
                counts.append(np.bincount(copy_of, weights[fold != number]))
            total = np.concatenate(counts)
            judges.append(
                _judge(np.concatenate(rows), np.concatenate(labels), total / total.mean(), seed)
            )
        return cls(judges, fold)

    def scores(self, rows: Floats) -> Floats:
        """Return how simulated each transition looks to who has not seen its student.

        rows: (2, slots, features). The scores are (2, slots).
        """
        scores = np.empty(rows.shape[:2])
        for number, judge in enumerate(self.judges):
            judged = rows[:, self.fold == number]
            flat = judged.reshape(-1, rows.shape[2])
            odds = sum(classifier.decision_function(flat) for classifier in judge)
            # The last bits depend on where in the matrix a row stands: equal rows shall tie.
            scores[:, self.fold == number] = np.round(odds, 9).reshape(judged.shape[:2])
        return scores

    def without(self, rows: Floats, columns: Sequence[int], rng: np.random.Generator) -> RocCurve:
        """Return the curve when `columns` say nothing: shuffled together within each fold."""
        shuffled = rows.copy()
        for number in range(len(self.judges)):
            held_out = np.ix_(range(2), self.fold == number, columns)
            values = shuffled[held_out]
            flat = values.reshape(-1, len(columns))
            shuffled[held_out] = rng.permutation(flat).reshape(values.shape)
        return RocCurve(self.scores(shuffled), self.fold)


def _judge(rows: Floats, labels: Ints, weights: Floats, seed: int) -> tuple[Any, ...]:
    """Return classifiers that have learnt which rows are simulated."""
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise UsageError(
            "the machine Turing test needs scikit-learn: pip install 'novicegym[eval]'"
        ) from None
    trees = HistGradientBoostingClassifier(
        max_leaf_nodes=8,
        l2_regularization=1.0,
        # It would set transitions aside to see when to stop, not whole students.
        early_stopping=False,
        random_state=seed % (1 << 32),  # scikit-learn takes no more bits
    )
    line = make_pipeline(
        SimpleImputer(),
        StandardScaler(),
        LogisticRegression(C=0.1, solver="newton-cholesky"),
    )
    # The trees cannot bin a feature that no row has; from a constant nothing is learnt.
    rows = np.where(np.isnan(rows).all(axis=0), 0.0, rows)
    # A sum over several threads depends on how many there are.
    with threadpool_limits(limits=1):
        trees.fit(rows, labels, sample_weight=weights)
        line.fit(rows, labels, logisticregression__sample_weight=weights)
    return trees, line


class RocCurve:
    """The ROC curves of the folds, ranked once, to be weighed many times."""

    def __init__(self, scores: Floats, fold: Ints) -> None:
        logged, simulated = scores
        self._fold = fold
        self._order = np.lexsort((logged, fold))
        ranked, of_fold = logged[self._order], fold[self._order]
        # For each simulated score, where in that order its fold starts, where the logged ones
        # equal to it start, and where they end.
        self._places = np.empty((3, len(fold)), dtype=np.int64)
        for number in range(fold.max() + 1):
            start, end = np.searchsorted(of_fold, [number, number + 1])
            mine = fold == number
            own, against = simulated[mine], ranked[start:end]
            self._places[0, mine] = start
            self._places[1, mine] = start + np.searchsorted(against, own, side="left")
            self._places[2, mine] = start + np.searchsorted(against, own, side="right")

    def area(self, weights: Floats) -> float:
        """Return the mean over the folds of the AUC in them, each by the weight of its slots.

        weights: of the slots; a pair weighs the product of its two, and half of that in a tie.
        """
        sums = np.concatenate([[0.0], np.cumsum(weights[self._order])])
        start, below, level = sums[self._places]
        size = np.bincount(self._fold, weights)
        won = np.bincount(self._fold, weights * ((below + level) / 2 - start))
        there = size > 0  # a draw of students may miss a fold
        return float((won[there] / size[there]).sum() / size.sum())


def mean_area(curves: Sequence[RocCurve], weights: Floats) -> float:
    """Return the mean over some divisions into folds of the AUC under `weights`."""
    return math.fsum(curve.area(weights) for curve in curves) / len(curves)
