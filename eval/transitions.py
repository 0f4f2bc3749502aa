"""How a policy proceeds beside how students do: what outcome follows what, and how much changes.

A transition is a move of `novicegym.eval.moves`, which says what is left out. Every logged
transition counts once, and what was simulated for it as much; what a policy did not cover is
missing from its side only.

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
from novicegym.eval.moves import Move, PairedMove, paired_moves
from novicegym.eval.style import normalized
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
    moves = _moves(records)
    number: dict[str, int] = {outcome: i for i, outcome in enumerate(OUTCOMES)}
    size = len(OUTCOMES)

    def classify(move: Move) -> list[tuple[int, float]]:
        return [(number[move.before.outcome] * size + number[move.after.outcome], 1.0)]

    def shares(drawn: FloatArray) -> FloatArray:
        counts = drawn.reshape(-1, 2, size, size)
        return ratio(counts, counts.sum(axis=-1, keepdims=True)).reshape(len(drawn), -1)

    students, sums = _sums(moves, classify, size * size)
    found = intervals(of_sums(sums, shares), students, samples=samples, level=level, seed=seed)
    rows = [tuple(found[i : i + size]) for i in range(0, len(found), size)]
    return Transitions(
        logged_steps=len({move.target for move in moves}),
        simulated_steps=sum(move.simulated is not None for move in moves),
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
    distance = levenshtein()
    classes = len(EDIT_EDGES)

    def classify(move: Move) -> list[tuple[int, float]]:
        edited = distance(normalized(move.before.code), normalized(move.after.code))
        # One column more than there are classes: what the mean is of.
        return [(int(np.searchsorted(EDIT_EDGES, edited)), 1.0), (classes, edited)]

    def shares(drawn: FloatArray) -> FloatArray:
        transitions = drawn[..., :classes].sum(axis=-1, keepdims=True)
        return ratio(drawn, transitions).reshape(len(drawn), -1)

    students, sums = _sums(_moves(records), classify, classes + 1)
    found = intervals(of_sums(sums, shares), students, samples=samples, level=level, seed=seed)
    logged, simulated = found[: classes + 1], found[classes + 1 :]
    return EditDistances(
        EditSizes(tuple(logged[:classes]), logged[classes]),
        EditSizes(tuple(simulated[:classes]), simulated[classes]),
    )


def _moves(records: Sequence[pa.Table]) -> list[PairedMove]:
    return [move for table in records for move in paired_moves(table)]


def _sums(
    moves: Sequence[PairedMove], classify: Callable[[Move], list[tuple[int, float]]], width: int
) -> tuple[int, FloatArray]:
    """Return the number of students, and sums (students, logged and simulated, width).

    A logged move is what up to `horizon` rollouts aim at; weighted by its copies it counts once.
    """
    place = {name: i for i, name in enumerate(sorted({move.target[0] for move in moves}))}
    sums = np.zeros((len(place), 2, width))
    logged: dict[tuple[str, str, int], list[tuple[int, float]]] = {}
    for move in moves:
        if move.target not in logged:
            logged[move.target] = classify(move.logged)
        sides = [logged[move.target], classify(move.simulated) if move.simulated else []]
        for side, found in enumerate(sides):
            for column, value in found:
                sums[place[move.target[0]], side, column] += value / move.copies
    return len(place), sums


def levenshtein() -> Callable[[str, str], float]:
    """Return the distance of two texts over the length of the longer; UsageError without it."""
    try:
        from rapidfuzz.distance import Levenshtein
    except ModuleNotFoundError:
        raise UsageError(
            "edit distances need the eval extra: pip install 'novicegym[eval]'"
        ) from None
    return Levenshtein.normalized_distance
