"""How a policy proceeds beside how students do: what outcome follows what, and how much changes.

A transition goes from one submission to the next. At a later step of a rollout both are the
policy's; at its first step it starts from the student's own last submission, which the records
hold as the target of an earlier start. Where they do not (the first start of each trajectory),
the step is left out on both sides. Every logged transition counts once, and what was simulated
for it as much; what a policy did not cover is missing from its side only.

The size of an edit is the Levenshtein distance in characters over the length of the longer
program: 0 is the same text again, 1 nothing in common. Characters, because many programs on the
way do not tokenize, and because it is then the same for every language; renaming a long name
counts for more than it would in tokens. Programs are compared without the white space around them
and with line feeds for line ends (`novicegym.eval.style.normalized`), as in the machine Turing
test: "unchanged" is the same in both.

Covered: outcome transitions and edit sizes, each with intervals by student; several runs of a
policy are pooled. Not covered: what an edit changes; stopping, which is
`novicegym.eval.abandonment`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import FloatArray, Interval, intervals, of_sums, ratio
from novicegym.eval.style import normalized
from novicegym.eval.support import once_each
from novicegym.grading.verdict import OUTCOMES

EDIT_EDGES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper ends of the classes of edit sizes; the first holds the unchanged alone."""

Matrix: TypeAlias = tuple[tuple[Interval | None, ...], ...]
"""Shares by outcome before (rows) and after (columns), both in the order of OUTCOMES. A row adds
up to 1; its cells are None where no transition starts from its outcome."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """What follows what, logged and simulated."""

    logged_steps: int
    """Logged transitions, each counted once."""
    simulated_steps: int
    """Simulated ones, from all starts and over all runs."""
    logged: Matrix
    simulated: Matrix


@dataclass(frozen=True, slots=True)
class EditSizes:
    """How much changes from one submission to the next; None where there is no transition."""

    shares: tuple[Interval | None, ...]
    """Of the classes of EDIT_EDGES."""
    mean: Interval | None


@dataclass(frozen=True, slots=True)
class EditDistances:
    """Sizes of edits, logged and simulated."""

    logged: EditSizes
    simulated: EditSizes


def outcome_transitions(
    records: Sequence[pa.Table], *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> Transitions:
    """Return the transition matrices of a policy and of the students it was played against.

    records: the tables of its runs. Raises UsageError for records without outcomes, and
    TooFewError where fewer than two students have a transition.
    """
    pairs = _pairs(records)
    number: dict[str, int] = {outcome: i for i, outcome in enumerate(OUTCOMES)}
    size = len(OUTCOMES)

    def classify(move: _Move) -> list[tuple[int, float]]:
        return [(number[move.before.outcome] * size + number[move.after.outcome], 1.0)]

    def shares(drawn: FloatArray) -> FloatArray:
        counts = drawn.reshape(-1, 2, size, size)
        return ratio(counts, counts.sum(axis=-1, keepdims=True)).reshape(len(drawn), -1)

    students, sums = _sums(pairs, classify, size * size)
    found = intervals(of_sums(sums, shares), students, samples=samples, level=level, seed=seed)
    rows = [tuple(found[i : i + size]) for i in range(0, len(found), size)]
    return Transitions(
        logged_steps=len({pair.target for pair in pairs}),
        simulated_steps=sum(pair.simulated is not None for pair in pairs),
        logged=tuple(rows[:size]),
        simulated=tuple(rows[size:]),
    )


def edit_distances(
    records: Sequence[pa.Table], *, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> EditDistances:
    """Return how large the edits of a policy are, and those of the students it was played against.

    records: the tables of its runs. Raises UsageError for records without outcomes and where
    rapidfuzz is not installed, and TooFewError where fewer than two students have a
    transition.
    """
    distance = _distance()
    classes = len(EDIT_EDGES)

    def classify(move: _Move) -> list[tuple[int, float]]:
        edited = distance(move.before.code, move.after.code)
        # One column more than there are classes: what the mean is of.
        return [(int(np.searchsorted(EDIT_EDGES, edited)), 1.0), (classes, edited)]

    def shares(drawn: FloatArray) -> FloatArray:
        transitions = drawn[..., :classes].sum(axis=-1, keepdims=True)
        return ratio(drawn, transitions).reshape(len(drawn), -1)

    students, sums = _sums(_pairs(records), classify, classes + 1)
    found = intervals(of_sums(sums, shares), students, samples=samples, level=level, seed=seed)
    logged, simulated = found[: classes + 1], found[classes + 1 :]
    return EditDistances(
        EditSizes(tuple(logged[:classes]), logged[classes]),
        EditSizes(tuple(simulated[:classes]), simulated[classes]),
    )


@dataclass(frozen=True, slots=True)
class _Submission:
    code: str
    """Normalized."""
    outcome: str


@dataclass(frozen=True, slots=True)
class _Move:
    before: _Submission
    after: _Submission


@dataclass(frozen=True, slots=True)
class _Pair:
    """What a student did at one step of a rollout, and what the policy did there."""

    target: tuple[str, str, int]
    """Student, assignment and which submission."""
    weight: float
    logged: _Move
    simulated: _Move | None


_COLUMNS = (
    "student_id",
    "assignment_id",
    "position",
    "step",
    "logged_code",
    "logged_outcome",
    "generated_code",
    "outcome",
)


def _pairs(records: Sequence[pa.Table]) -> list[_Pair]:
    return [pair for table in records for pair in _pairs_of_run(table)]


def _pairs_of_run(table: pa.Table) -> list[_Pair]:
    columns = [table.column(name).to_pylist() for name in _COLUMNS]
    logged: dict[tuple[str, str, int], _Submission] = {}
    simulated: dict[tuple[str, str, int, int], _Submission] = {}
    rows = []
    for student, assignment, position, step, code, outcome, made, judged in zip(
        *columns, strict=True
    ):
        logged[student, assignment, position + step] = _submission(code, outcome)
        if made is not None:
            simulated[student, assignment, position, step] = _submission(made, judged)
        rows.append((student, assignment, position, step))
    # The records are complete: every step but the first has the one before it.
    rows = [(s, a, position, k) for s, a, position, k in rows if (s, a, position + k - 1) in logged]
    weights = once_each([(s, a, position + k) for s, a, position, k in rows])
    pairs = []
    for (student, assignment, position, step), weight in zip(rows, weights, strict=True):
        target = (student, assignment, position + step)
        before = logged[student, assignment, position + step - 1]
        mine = simulated.get((student, assignment, position, step))
        mine_before = before
        if step > 1 and mine is not None:
            mine_before = simulated[student, assignment, position, step - 1]
        pairs.append(
            _Pair(
                target,
                float(weight),
                _Move(before, logged[target]),
                None if mine is None else _Move(mine_before, mine),
            )
        )
    return pairs


def _submission(code: str, outcome: str | None) -> _Submission:
    if outcome not in OUTCOMES:
        raise UsageError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
    return _Submission(normalized(code), outcome)


def _sums(
    pairs: Sequence[_Pair], classify: Callable[[_Move], list[tuple[int, float]]], width: int
) -> tuple[int, FloatArray]:
    """Return the number of students, and sums (students, logged and simulated, width)."""
    place = {name: i for i, name in enumerate(sorted({pair.target[0] for pair in pairs}))}
    sums = np.zeros((len(place), 2, width))
    logged: dict[tuple[str, str, int], list[tuple[int, float]]] = {}
    for pair in pairs:
        if pair.target not in logged:
            logged[pair.target] = classify(pair.logged)
        moves = [logged[pair.target], classify(pair.simulated) if pair.simulated else []]
        for side, found in enumerate(moves):
            for column, value in found:
                sums[place[pair.target[0]], side, column] += pair.weight * value
    return len(place), sums


def _distance() -> Callable[[str, str], float]:
    try:
        from rapidfuzz.distance import Levenshtein
    except ModuleNotFoundError:
        raise UsageError(
            "edit distances need the eval extra: pip install 'novicegym[eval]'"
        ) from None
    return Levenshtein.normalized_distance
