"""The model of when students ask for hints, fitted: states as numbers, difficulties, weights.

Logistic regression on the states of a log, features standardized, weights shrunk (L2) by as much
as predicts held-out students among those it is fitted on best. An assignment's difficulty is what
the students who count have shown; the rows of a student that is fitted on see the others' alone,
as they would were she held out.

Covered: one log; the policy of `novicegym.agents.asks`. Not covered: other models; asking before
the first submission. How good the model is says `novicegym.eval.asking`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from novicegym.agents.asks import FEATURES, AsksPolicy, Attempt, visible
from novicegym.courses.readers.hint_requests import HintRequest
from novicegym.errors import UsageError
from novicegym.eval.bootstrap import FloatArray, Interval, TooFewError, intervals
from novicegym.eval.hint_states import HintState

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]

_PRIOR = 4.0
"""Students whom an assignment is believed to be as hard for as the others are on average."""

_DIFFICULTY = list(FEATURES).index("difficulty")

_STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""scikit-learn's C, from much shrunk to little."""

_INNER_FOLDS = 5
_INNER = 2  # stream of the seed; `novicegym.eval.asking` has 0 and 1


@dataclass(frozen=True, slots=True)
class AskStates:
    """The states of a log as numbers: a row each, whether she asked, and whose it is."""

    rows: FloatArray
    """(states, FEATURES), but for the difficulty, which depends on who is learnt from: NaN."""
    asked: Bools
    student: Ints
    """Place in `students`."""
    assignment: Ints
    """Place in `assignments`."""
    students: tuple[str, ...]
    assignments: tuple[str, ...]
    started: Bools
    """(students, assignments): whether she submitted."""
    failed: Bools
    """(students, assignments): whether her first submission was wrong."""


def ask_states(
    states: Sequence[HintState],
    requests: Sequence[HintRequest],
    started: Collection[tuple[str, str]],
) -> AskStates:
    """Return the states of a log as the model sees them.

    states, requests: as in `hint_states.logged_states`. started: (student, assignment) of all
    trajectories; a first submission without a state is a correct one.
    """
    students = sorted({student for student, _ in started})
    assignments = sorted({assignment for _, assignment in started})
    row = {name: i for i, name in enumerate(students)}
    column = {name: i for i, name in enumerate(assignments)}
    began = np.zeros((len(students), len(assignments)), dtype=np.bool_)
    failed = np.zeros_like(began)
    for student, assignment in started:
        began[row[student], column[assignment]] = True
    for state in states:
        failed[row[state.student_id], column[state.assignment_id]] |= state.number == 1
    elsewhere = _first_requests(requests)
    return AskStates(
        rows=np.array([_row(state, elsewhere) for state in states]).reshape(-1, len(FEATURES)),
        asked=np.array([state.helped for state in states], dtype=np.bool_),
        student=np.array([row[state.student_id] for state in states], dtype=np.int64),
        assignment=np.array([column[state.assignment_id] for state in states], dtype=np.int64),
        students=tuple(students),
        assignments=tuple(assignments),
        started=began,
        failed=failed,
    )


def fit_asks(states: AskStates, *, seed: int = 0) -> AsksPolicy:
    """Return the policy fitted on all states.

    seed: of the folds that say how much weights are shrunk. Raises UsageError where scikit-learn
    is not installed, and TooFewError where nobody or everybody asks.
    """
    everybody = np.ones(len(states.students))
    check_both(states)
    rows = with_difficulty(states, everybody, leave_out_own=True)
    with one_thread():
        strength = strength_of(rows, states.asked, states.student, seed)
        intercept, weights = fit_logistic(rows, states.asked, np.ones(len(rows)), strength)
    of_assignment, overall = _difficulties(states, everybody)
    return AsksPolicy(
        intercept,
        dict(zip(FEATURES, weights.tolist(), strict=True)),
        overall,
        dict(zip(states.assignments, of_assignment.tolist(), strict=True)),
    )


def odds_ratios(
    states: AskStates, *, samples: int = 300, level: float = 0.95, seed: int = 0
) -> dict[str, Interval | None]:
    """Return by how much a unit more of each feature multiplies the odds of asking.

    Each draw of students is fitted anew, shrunk as much as the fit on all and with the
    difficulties that all have shown. Errors as in `fit_asks`.
    """
    check_both(states)
    rows = with_difficulty(states, np.ones(len(states.students)), leave_out_own=True)

    def fitted(counts: FloatArray) -> FloatArray:
        values = np.full((len(counts), len(FEATURES)), np.nan)
        for draw, count in enumerate(counts):
            weights = count[states.student]
            if both_there(states.asked, weights):
                values[draw] = np.exp(fit_logistic(rows, states.asked, weights, strength)[1])
        return values

    with one_thread():
        strength = strength_of(rows, states.asked, states.student, seed)
        found = intervals(fitted, len(states.students), samples=samples, level=level, seed=seed)
    return dict(zip(FEATURES, found, strict=True))


def check_both(states: AskStates) -> None:
    """Raise TooFewError unless some ask and some do not."""
    if not both_there(states.asked, np.ones(len(states.asked))):
        raise TooFewError(
            f"in {int(states.asked.sum())} of {len(states.asked)} states a hint was asked for: "
            "there is nothing to tell apart"
        )


def both_there(asked: Bools, weights: FloatArray) -> bool:
    """Return whether some of those that weigh anything ask, and some do not."""
    return bool(weights[asked].sum() > 0 and weights[~asked].sum() > 0)


def with_difficulty(states: AskStates, counts: FloatArray, *, leave_out_own: bool) -> FloatArray:
    """Return the rows with difficulties that students with a count have shown.

    leave_out_own: where a student counts, her own rows see the difficulty for the others, as
    they would in a fold she is held out of.
    """
    rows = states.rows.copy()
    rows[:, _DIFFICULTY] = _difficulties(states, counts)[0][states.assignment]
    if leave_out_own:
        for student in np.unique(states.student):
            mine, others = states.student == student, counts.copy()
            others[student] = 0
            if (others @ states.started).sum():
                own = _difficulties(states, others)[0]
                rows[mine, _DIFFICULTY] = own[states.assignment[mine]]
    return rows


def _difficulties(states: AskStates, counts: FloatArray) -> tuple[FloatArray, float]:
    """Return the difficulty of each assignment and overall, among students that count."""
    failed, started = counts @ states.failed, counts @ states.started
    overall = failed.sum() / started.sum()
    return (failed + _PRIOR * overall) / (started + _PRIOR), float(overall)


def strength_of(rows: FloatArray, asked: Bools, student: Ints, seed: int) -> float:
    """Return the C of least log loss on students held out from these rows.

    Call it in `one_thread`.
    """
    students = np.unique(student)
    rng = np.random.default_rng([seed, _INNER])
    fold = np.empty(int(students.max()) + 1, dtype=np.int64)
    fold[rng.permutation(students)] = np.arange(len(students)) % _INNER_FOLDS
    losses = np.zeros(len(_STRENGTHS))
    for number in range(_INNER_FOLDS):
        held = fold[student] == number
        if not held.any() or not both_there(asked[~held], np.ones((~held).sum())):
            continue
        sign = np.where(asked[held], 1.0, -1.0)
        for i, strength in enumerate(_STRENGTHS):
            known = np.ones(int((~held).sum()))
            intercept, weights = fit_logistic(rows[~held], asked[~held], known, strength)
            losses[i] += np.logaddexp(0.0, -sign * (intercept + rows[held] @ weights)).sum()
    # Rounded, and the first of equals: the most shrunk.
    return _STRENGTHS[int(np.argmin(np.round(losses, 9)))]


def fit_logistic(
    rows: FloatArray, asked: Bools, weights: FloatArray, strength: float
) -> tuple[float, FloatArray]:
    """Return intercept and log-odds per unit of each column; call it in `one_thread`."""
    logistic_regression, _ = _scikit_learn()
    total = weights.sum()
    mean = weights @ rows / total
    spread = np.sqrt(weights @ (rows - mean) ** 2 / total)
    spread[spread < 1e-9] = 1.0  # from a constant nothing is learnt
    model = logistic_regression(C=strength, solver="newton-cholesky")
    model.fit((rows - mean) / spread, asked, sample_weight=weights)
    slopes = np.asarray(model.coef_[0], dtype=np.float64) / spread
    return float(model.intercept_[0] - slopes @ mean), slopes


def one_thread() -> AbstractContextManager[object]:
    """Return a context of fits that are the same on any machine.

    A sum over several threads depends on how many there are. Not within each fit: finding all
    libraries that have threads takes longer than the fit.
    """
    _, threadpool_limits = _scikit_learn()
    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def _scikit_learn() -> tuple[Any, Any]:
    try:
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise UsageError(
            "the model of asking needs scikit-learn: pip install 'novicegym[eval]'"
        ) from None
    return LogisticRegression, threadpool_limits


def _first_requests(requests: Sequence[HintRequest]) -> Mapping[str, Mapping[str, datetime]]:
    """Return when each student first asked on each assignment."""
    first: dict[str, dict[str, datetime]] = defaultdict(dict)
    for one in requests:
        if one.at is not None:
            known = first[one.student_id].get(one.assignment_id, one.at)
            first[one.student_id][one.assignment_id] = min(known, one.at)
    return first


def _row(state: HintState, first: Mapping[str, Mapping[str, datetime]]) -> tuple[float, ...]:
    # Of two events in the same minute the log's time does not tell which was first.
    elsewhere = state.at is not None and any(
        at < state.at
        for assignment, at in first.get(state.student_id, {}).items()
        if assignment != state.assignment_id
    )
    return visible(
        [Attempt(one.code, float(one.grade), one.outcome) for one in state.past],
        asked_here=state.helped_before,
        asked_elsewhere=elsewhere,
        difficulty=math.nan,
    )
