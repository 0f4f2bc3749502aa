"""When students ask for hints: how well the model of `novicegym.eval.asking_model` says it.

Judged on students it has not seen: students are divided into folds, and those of a fold are
predicted by a model, a strength of shrinking and difficulties of assignments that know only the
others. That is done for several divisions, because with few students it matters who is held out
with whom.

Calibration is read from bins of equally many predictions: in each, how often the model said they
would ask, and how often they did. The expected calibration error (ECE) is the mean gap of the
bins, by their states. It cannot be 0 with finitely many states, and drawing students anew only
adds to it, so that the value lies low in its interval: `ece_if_calibrated` says what a perfectly
calibrated model would have here. The Brier score stands beside that of the base rate: the share of
requests among the other students, said of every state.

The AUC compares states of one fold, since the models of two folds may be on different levels.
Intervals draw whole students anew and keep the predictions: they say what other students would
have shown, not what other training data would have taught.

Covered: one log. Not covered: other models; asking before the first submission.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from novicegym.errors import UsageError
from novicegym.eval.asking_model import (
    AskStates,
    Bools,
    Ints,
    both_there,
    check_both,
    fit_logistic,
    one_thread,
    strength_of,
    with_difficulty,
)
from novicegym.eval.bootstrap import FloatArray, Interval, TooFewError, intervals, ratio

# Streams of the one seed a user gives.
_FOLDS, _CALIBRATED = range(2)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """States of similar prediction."""

    states: float
    """Their number, over the divisions into folds on average."""
    predicted: Interval | None
    observed: Interval | None


@dataclass(frozen=True, slots=True)
class AskingReport:
    """How well a model fitted on other students says when a student asks."""

    states: int
    asked: int
    students: int
    asking_students: int
    brier: Interval | None
    base_rate_brier: Interval | None
    skill: Interval | None
    """1 - brier / base_rate_brier: above 0 is better than the base rate."""
    auc: Interval | None
    """0.5 is chance."""
    ece: Interval | None
    ece_if_calibrated: float
    mean_predicted: Interval | None
    base_rate: Interval | None
    reliability: tuple[ReliabilityBin, ...]
    """From the least to the most probable."""
    folds: int
    splits: int


def asking_report(
    states: AskStates,
    *,
    folds: int = 5,
    splits: int = 10,
    bins: int = 8,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> AskingReport:
    """Return how well the model says, of students it has not seen, when they ask.

    folds: groups of students, each predicted by who learnt on the others. splits: divisions into
    folds. bins: of the reliability table. Errors as in `fit_asks`, and TooFewError for fewer
    students than folds, or where all who ask are in one fold.
    """
    if folds < 2 or splits < 1 or bins < 1:
        raise UsageError(
            "asking is judged in at least 2 folds, 1 split and 1 bin, got "
            f"{folds}, {splits} and {bins}"
        )
    present = np.unique(states.student)
    if len(present) < folds:
        raise TooFewError(
            f"the model holds out students in {folds} folds, and only {len(present)} have states "
            "in which they could ask; ask for fewer folds"
        )
    check_both(states)
    predicted = np.empty((splits, len(states.asked)))
    base = np.empty_like(predicted)
    fold = np.empty(predicted.shape, dtype=np.int64)
    for split in range(splits):
        rng = np.random.default_rng([seed, _FOLDS, split])
        of_student = np.full(len(states.students), -1)
        of_student[rng.permutation(present)] = np.arange(len(present)) % folds
        fold[split] = of_student[states.student]
        for number in range(folds):
            held = fold[split] == number
            with one_thread():
                predicted[split, held], base[split, held] = _predict(
                    states, of_student, number, held, seed
                )
    # Equal states shall be in one bin and tie, whatever the last bits.
    predicted = np.round(predicted, 9)
    edges = np.quantile(predicted, np.arange(1, bins) / bins)
    sums = _sums(states, predicted, base, np.searchsorted(edges, predicted, side="right"), bins)
    pairs = _pairs(states, predicted, fold)

    def statistic(counts: FloatArray) -> FloatArray:
        scores = _scores(np.tensordot(counts, sums, axes=1))
        won, all_pairs = (np.einsum("ds,st,dt->d", counts, one, counts) for one in pairs)
        return np.concatenate([ratio(won, all_pairs)[:, None], scores], axis=1)

    auc, brier, base_brier, skill, ece, said, did, *table = intervals(
        statistic, len(states.students), samples=samples, level=level, seed=seed
    )
    per_bin = sums[..., :bins, 0].sum(axis=0) / splits
    return AskingReport(
        states=len(states.asked),
        asked=int(states.asked.sum()),
        students=len(states.students),
        asking_students=len(np.unique(states.student[states.asked])),
        brier=brier,
        base_rate_brier=base_brier,
        skill=skill,
        auc=auc,
        ece=ece,
        ece_if_calibrated=_calibrated_ece(states, predicted, edges, bins, seed),
        mean_predicted=said,
        base_rate=did,
        reliability=tuple(
            ReliabilityBin(float(per_bin[i]), table[2 * i], table[2 * i + 1]) for i in range(bins)
        ),
        folds=folds,
        splits=splits,
    )


def _predict(
    states: AskStates, of_student: Ints, number: int, held: Bools, seed: int
) -> tuple[FloatArray, float]:
    """Return the probabilities of a fold's states and the base rate, learnt on the others."""
    known = (of_student != number).astype(np.float64)
    asked = states.asked[~held]
    if not both_there(asked, np.ones(len(asked))):
        raise TooFewError("all who ask, or all who do not, are in one fold; ask for more folds")
    rows = with_difficulty(states, known, leave_out_own=True)
    strength = strength_of(rows[~held], asked, states.student[~held], seed)
    intercept, weights = fit_logistic(rows[~held], asked, np.ones(len(asked)), strength)
    unseen = with_difficulty(states, known, leave_out_own=False)[held]
    return 1 / (1 + np.exp(-(intercept + unseen @ weights))), float(asked.mean())


def _sums(
    states: AskStates, predicted: FloatArray, base: FloatArray, bin_of: Ints, bins: int
) -> FloatArray:
    """Return (students, bins and one for all, 5): states, predicted, asked, two Brier scores.

    Over all splits. The Brier scores are in the last row alone.
    """
    sums = np.zeros((len(states.students), bins + 1, 5))
    for said, by_rate, place in zip(predicted, base, bin_of, strict=True):
        asked = states.asked.astype(np.float64)
        columns = np.stack(
            [np.ones(len(asked)), said, asked, (said - asked) ** 2, (by_rate - asked) ** 2], axis=1
        )
        np.add.at(sums, (states.student, place), columns)
        np.add.at(sums[:, bins], states.student, columns)
    return sums


def _scores(drawn: FloatArray) -> FloatArray:
    """Return brier, base rate's, skill, ece, predicted, asked, then both by bin."""
    everything = drawn[:, -1]
    said, did, brier, base = (ratio(everything[:, i], everything[:, 0]) for i in range(1, 5))
    of_bins = drawn[:, :-1]
    gaps = np.abs(of_bins[..., 1] - of_bins[..., 2]).sum(axis=1)
    table = ratio(of_bins[..., 1:3], of_bins[..., :1]).reshape(len(drawn), -1)
    return np.concatenate(
        [
            np.stack(
                [brier, base, 1 - ratio(brier, base), ratio(gaps, everything[:, 0]), said, did],
                axis=1,
            ),
            table,
        ],
        axis=1,
    )


def _pairs(states: AskStates, predicted: FloatArray, fold: Ints) -> tuple[FloatArray, FloatArray]:
    """Return (students, students): pairs won by who asked against who did not, and all pairs.

    A pair is of two states of one fold, a tie is half won. So the AUC of any draw of students is
    a quotient of two quadratic forms of their counts.
    """
    shape = (len(states.students), len(states.students))
    won, both = np.zeros(shape), np.zeros(shape)
    for said, of_fold in zip(predicted, fold, strict=True):
        for number in range(of_fold.max() + 1):
            yes = np.flatnonzero((of_fold == number) & states.asked)
            no = np.flatnonzero((of_fold == number) & ~states.asked)
            against = said[yes][:, None] - said[no][None, :]
            cells = np.ix_(states.student[yes], states.student[no])
            where = np.broadcast_arrays(*cells)
            np.add.at(won, tuple(where), (np.sign(against) + 1) / 2)
            np.add.at(both, tuple(where), 1.0)
    return won, both


def _calibrated_ece(
    states: AskStates, predicted: FloatArray, edges: FloatArray, bins: int, seed: int
) -> float:
    """Return the mean ECE if each state's request were drawn with its predicted probability.

    Draws of one state are the same over the splits, as the logged requests are.
    """
    rng = np.random.default_rng([seed, _CALIBRATED])
    place = np.searchsorted(edges, predicted, side="right").ravel()
    mean = predicted.mean(axis=0)
    errors = []
    for _ in range(200):
        asked = rng.random(len(states.asked)) < mean
        gaps = np.bincount(place, (predicted - asked).ravel(), minlength=bins)
        errors.append(np.abs(gaps).sum() / predicted.size)
    return float(np.mean(errors))
