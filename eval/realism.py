"""A machine Turing test: can a classifier tell logged from simulated continuations?

A continuation is taken apart into transitions, from one submission to the next, and each
transition into the numbers of `novicegym.eval.submission_features`. A judge learns on the
transitions of some students which ones are simulated and scores those of the others. The area
under the ROC curve (AUC) is then the chance that, of a logged and a simulated transition, the
simulated one looks more simulated: 0.5 is indistinguishable, 1 is told apart at sight. A value
below 0.5 tells nothing apart either: what was learnt does not hold for other students.

What makes the comparison fair:

- Both sides fill the same slots. A slot is a record (student, assignment, position, step) at
  which both made a submission, and whose previous submission is known on both sides: the same
  side's submission one step earlier, or, at step 1, the last one of the logged prefix, which
  both share. That one is not in the record itself, but it is the logged submission of another
  record of the trajectory; for the first start of a trajectory it is nowhere in the table, and
  step 1 of that start is left out. So are the records after the policy had stopped.
- One logged transition stands in as many records as there are starts before it. A slot weighs
  one over their number, on both sides: each logged transition weighs as much as any other, and
  whatever a place in the trajectory weighs, it does so on both sides. The number is that of the
  records, whether or not the policy was still at work in them, for what a policy did must not
  decide what its counterpart weighs. The judge learns from each distinct transition once.
- Folds are of students: no copy of a student's transition, and no habit of hers, is learnt from
  when she is judged. What two students did alike, or a policy did in the seats of both, can be
  learnt from the one and judged with the other.
- A previous submission is never correct on either side: both end with their first correct one.
- What serialization does to the ends of a program is taken off both (`style.normalized`).

The judge is two classifiers whose log-odds are added: gradient-boosted trees, which find
thresholds and combinations, and logistic regression, which goes less astray with few students.
The AUC is the mean of those of the held-out folds, each by the weight of its slots, since the
scores of two judges are on two scales and cannot be pooled; and the mean over several divisions
into folds, since with few students it matters who is held out with whom. The interval draws
students anew, with all their transitions, and keeps the judges: it says what other students
would have been scored, not what other training data would have taught. Few students teach a
judge little, and an AUC near 0.5 from few students is no proof of realism.

Importance is how far the AUC falls when the held-out values of a feature, or of a whole family
at once, are shuffled among the transitions of the fold. Features that say the same share it:
read the families first.

Covered: one run of one policy. Not covered: when students stop; whether submissions fit together
further back than one; and logs from which curation took repeated submissions, against which
resubmitting is a tell by construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import pyarrow as pa

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import Interval, TooFewError, intervals
from novicegym.eval.judges import Floats, Ints, Panel, RocCurve, mean_area
from novicegym.eval.moves import Move, paired_moves
from novicegym.eval.submission_features import FAMILIES, FEATURES, transition_features

LEAST_SLOTS = 50
"""Fewer teach a judge nothing, and its 0.5 would look like realism."""


@dataclass(frozen=True, slots=True)
class FeatureTell:
    """How much one feature gives a policy away."""

    name: str
    family: str
    importance: float
    """AUC lost when it is shuffled; noise makes it a little negative."""
    logged: float | None
    """Mean over the logged transitions that have the feature; of a 0 or 1, its share."""
    simulated: float | None


@dataclass(frozen=True, slots=True)
class Realism:
    """The outcome of a machine Turing test."""

    auc: Interval
    """0.5 is indistinguishable."""
    families: dict[str, float]
    """AUC lost when a family of features is shuffled, the most telling first."""
    features: tuple[FeatureTell, ...]
    """The most telling first."""
    students: int
    slots: int
    """Transitions a side."""
    stopped: int
    """Records left out: the policy had stopped before."""
    previous_unknown: int
    """Records left out: the logged submission before the first start is not in the table."""
    folds: int
    splits: int
    samples: int
    seed: int

    @property
    def rows(self) -> int:
        """Transitions of both sides."""
        return 2 * self.slots


def machine_turing_test(
    records: pa.Table,
    *,
    folds: int = 5,
    splits: int = 5,
    samples: int = 1000,
    seed: int = 0,
    workers: int = 1,
) -> Realism:
    """Return how well a judge tells one run's simulated transitions from the logged ones.

    records: one run's episode records. folds: groups of students, each judged by who learnt
    on the others. splits: divisions into folds to average over. samples: bootstrap draws.
    workers: processes that compute features; the result does not depend on it. Raises
    TooFewError for fewer students than folds and fewer slots than LEAST_SLOTS, and UsageError for a
    step of a rollout held twice, a missing column, and packages that are not installed.
    """
    if folds < 2:
        raise UsageError(f"folds must be at least 2, got {folds}")
    if splits < 1 or samples < 1:
        raise UsageError(f"splits and samples must be at least 1, got {splits} and {samples}")
    slots = _slots(records)
    stopped = records.column("generated_code").null_count
    students = sorted({slot.student for slot in slots})
    if len(students) < folds:
        raise TooFewError(
            f"the machine Turing test holds out students in {folds} folds, and only "
            f"{len(students)} have transitions to compare; roll out more students or ask for "
            "fewer folds"
        )
    if len(slots) < LEAST_SLOTS:
        raise TooFewError(
            f"the machine Turing test needs at least {LEAST_SLOTS} transitions to compare, got "
            f"{len(slots)}; roll out more trajectories"
        )
    number = {student: index for index, student in enumerate(students)}
    student = np.array([number[slot.student] for slot in slots])
    weights = np.array([slot.weight for slot in slots])
    table, places = _features(slots, workers)
    rng = np.random.default_rng([seed, 0])
    panels = []
    for _ in range(splits):
        fold = (rng.permutation(len(students)) % folds)[student]
        panels.append(Panel.learn(table, places, weights, fold, seed))

    rows = table[places]
    curves = [RocCurve(panel.scores(rows), panel.fold) for panel in panels]
    [auc] = intervals(
        lambda counts: np.array([[mean_area(curves, weights * one[student])] for one in counts]),
        len(students),
        samples=samples,
        seed=seed,
    )
    assert auc is not None  # every draw has a value

    columns = {name: [column] for column, name in enumerate(FEATURES)}
    columns |= {name: [FEATURES.index(one) for one in names] for name, names in FAMILIES.items()}
    rng = np.random.default_rng([seed, 2])
    lost = {
        name: auc.value - mean_area([panel.without(rows, those, rng) for panel in panels], weights)
        for name, those in columns.items()
    }
    tells = [
        FeatureTell(name, family, lost[name], *(_mean(side[:, column], weights) for side in rows))
        for family, names in FAMILIES.items()
        for name in names
        for column in columns[name]
    ]
    return Realism(
        auc=auc,
        families={name: lost[name] for name in sorted(FAMILIES, key=lambda name: -lost[name])},
        features=tuple(sorted(tells, key=lambda tell: -tell.importance)),
        students=len(students),
        slots=len(slots),
        stopped=stopped,
        previous_unknown=len(records) - stopped - len(slots),
        folds=folds,
        splits=splits,
        samples=samples,
        seed=seed,
    )


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in a rollout that both sides filled."""

    student: str
    weight: float
    logged: Move
    simulated: Move


def _slots(records: pa.Table) -> list[_Slot]:
    moves = paired_moves(records)
    # Whole numbers, so that sums are exact: two equal sides score 0.5 and nothing beside it.
    unit = math.lcm(*(move.copies for move in moves))
    return [
        _Slot(move.target[0], unit / move.copies, move.logged, move.simulated)
        for move in moves
        if move.simulated is not None
    ]


def _features(slots: Sequence[_Slot], workers: int) -> tuple[Floats, Ints]:
    """Return a row of FEATURES for each distinct transition, NaN where it has none, and which
    row is that of a slot: (2, slots), the logged side first."""
    sides = [slot.logged for slot in slots], [slot.simulated for slot in slots]
    rows: dict[Move, int] = {}
    for pair in zip(*sides, strict=True):  # neighbours share programs
        for transition in pair:
            rows.setdefault(transition, len(rows))
    if workers > 1:
        # Not forked: a caller may have threads, and pyarrow has.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            values = list(pool.map(_values, rows, chunksize=64))
    else:
        values = [_values(transition) for transition in rows]
    places = [[rows[transition] for transition in side] for side in sides]
    return np.array(values, dtype=np.float64), np.array(places)


def _values(transition: Move) -> list[float | None]:
    return list(transition_features(*transition).values())


def _mean(values: Floats, weights: Floats) -> float | None:
    there = ~np.isnan(values)
    return float(np.average(values[there], weights=weights[there])) if there.any() else None
