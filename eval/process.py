"""How students proceed: what a simulated course and a real one can be compared by.

Covered, over all trajectories of a course and over those of at least three submissions:
length, share solved, first-attempt success, outcome mix and transitions, grade by position,
how often a step raises or lowers the grade, and how large edits are. Everything is judged
anew by the grader, so that two courses are measured by one rule.
Not covered: time between submissions; differences among students or assignments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from novicegym.courses.model import Course, Trajectory
from novicegym.grading.grader import Grader, shared_grader
from novicegym.grading.verdict import OUTCOMES, Outcome, Verdict

POSITIONS = 10
"""Grades are averaged at the first so many positions."""

LONG = 3
"""Submissions that make a trajectory count as long; the paper's curation keeps these."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_CHUNK = 256  # trajectories graded at a time, so that a large course needs little memory


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """The process of one group of trajectories. Shares are in [0, 1]; None without data."""

    trajectories: int
    submissions: int
    mean_length: float | None
    length_quantiles: tuple[float, ...]
    """At `QUANTILES`, in submissions."""
    solved: float | None
    """Share of trajectories with a fully correct submission."""
    ends_correct: float | None
    first_correct: float | None
    """Share of trajectories whose first submission is correct."""
    outcomes: dict[Outcome, float]
    """Share of all submissions."""
    first_outcomes: dict[Outcome, float]
    """Share of the first submissions."""
    transitions: dict[Outcome, dict[Outcome, float]]
    """From the outcome of a submission to that of the next: rows add up to 1."""
    grade_by_position: tuple[float, ...]
    """Mean grade of the 1st, 2nd, ... submission, over the trajectories that long."""
    raised: float | None
    """Share of the steps from a submission not yet correct to a higher grade."""
    lowered: float | None
    similarity_quantiles: tuple[float, ...]
    """Of consecutive submissions, at `QUANTILES`: difflib's ratio over characters."""
    edited_quantiles: tuple[float, ...]
    """Characters inserted and deleted per step, at `QUANTILES`."""
    unchanged: float | None
    """Share of the steps that submit the same text again."""


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """The process of a course."""

    course: str
    synthetic: bool
    every: ProcessRow
    long: ProcessRow
    """Over the trajectories of at least `LONG` submissions."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return a table in text: one column for all trajectories, one for the long ones."""
        name = f"{self.course} (synthetic)" if self.synthetic else self.course
        left, right = _cells(self.every), _cells(self.long)
        heads = (f"process of {name}", "all", f">= {LONG} submissions")
        rows = [
            heads,
            *((label, cell, other) for (label, cell), (_, other) in zip(left, right, strict=True)),
        ]
        width = max(len(row[0]) for row in rows)
        wide = max(len(row[1]) for row in rows)
        return [
            f"{label:<{width}}  {cell:<{wide}}  {other}".rstrip() for label, cell, other in rows
        ]


@dataclass(slots=True)
class _Tally:
    """Counts of one group, trajectory by trajectory."""

    lengths: list[int] = field(default_factory=list)
    solved: int = 0
    ends_correct: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    first: Counter[Outcome] = field(default_factory=Counter)
    steps: Counter[tuple[Outcome, Outcome]] = field(default_factory=Counter)
    grades: list[list[Fraction]] = field(default_factory=lambda: [[] for _ in range(POSITIONS)])
    raised: int = 0
    lowered: int = 0
    tries: int = 0
    similarities: list[float] = field(default_factory=list)
    edited: list[int] = field(default_factory=list)
    unchanged: int = 0

    def add(self, codes: Sequence[str], verdicts: Sequence[Verdict]) -> None:
        self.lengths.append(len(codes))
        self.solved += any(verdict.correct for verdict in verdicts)
        self.ends_correct += verdicts[-1].correct
        self.outcomes.update(verdict.outcome for verdict in verdicts)
        self.first[verdicts[0].outcome] += 1
        for grades, verdict in zip(self.grades, verdicts, strict=False):
            grades.append(verdict.grade)
        for before, after in pairwise(verdicts):
            self.steps[before.outcome, after.outcome] += 1
            if not before.correct:
                self.tries += 1
                self.raised += after.grade > before.grade
                self.lowered += after.grade < before.grade
        for old, new in pairwise(codes):
            ratio, edited = compare_codes(old, new)
            self.similarities.append(ratio)
            self.edited.append(edited)
            self.unchanged += old == new

    def row(self) -> ProcessRow:
        count, steps = len(self.lengths), len(self.edited)
        from_outcome = {
            before: Counter({after: self.steps[before, after] for after in OUTCOMES})
            for before in OUTCOMES
        }
        return ProcessRow(
            trajectories=count,
            submissions=sum(self.lengths),
            mean_length=_share(sum(self.lengths), count),
            length_quantiles=_quantiles(self.lengths),
            solved=_share(self.solved, count),
            ends_correct=_share(self.ends_correct, count),
            first_correct=_share(self.first["correct"], count),
            outcomes=_shares(self.outcomes),
            first_outcomes=_shares(self.first),
            transitions={
                before: _shares(after) for before, after in from_outcome.items() if after.total()
            },
            grade_by_position=tuple(
                float(sum(grades, Fraction()) / len(grades)) for grades in self.grades if grades
            ),
            raised=_share(self.raised, self.tries),
            lowered=_share(self.lowered, self.tries),
            similarity_quantiles=_quantiles(self.similarities),
            edited_quantiles=_quantiles(self.edited),
            unchanged=_share(self.unchanged, steps),
        )


def process_stats(
    course: Course,
    grader: Grader | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ProcessStats:
    """Grade every submission of `course` and return its process statistics.

    progress: called with (trajectories done, trajectories in all).
    """
    grader = grader or shared_grader()
    every, long = _Tally(), _Tally()
    total = len(course.trajectories)
    for first in range(0, total, _CHUNK):
        for codes, verdicts in _graded(course, course.trajectories[first : first + _CHUNK], grader):
            every.add(codes, verdicts)
            if len(codes) >= LONG:
                long.add(codes, verdicts)
        if progress is not None:
            progress(min(first + _CHUNK, total), total)
    return ProcessStats(course.name, course.synthetic, every.row(), long.row())


def _graded(
    course: Course, trajectories: Sequence[Trajectory], grader: Grader
) -> Iterator[tuple[list[str], list[Verdict]]]:
    played = [
        (course.assignment(trajectory.assignment_id), [s.code for s in trajectory.submissions])
        for trajectory in trajectories
        if trajectory.submissions
    ]
    verdicts = iter(grader.grade_batch([(task, code) for task, codes in played for code in codes]))
    for _, codes in played:
        yield codes, [next(verdicts) for _ in codes]


def compare_codes(old: str, new: str) -> tuple[float, int]:
    """Return difflib's ratio over characters, and the characters inserted plus deleted.

    The text that both begin or end with is matched first: edits are local and aligning is
    quadratic.
    """
    if old == new:
        return 1.0, 0
    shortest = min(len(old), len(new))
    head = next((i for i in range(shortest) if old[i] != new[i]), shortest)
    rest = shortest - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    matched = head + tail + sum(block.size for block in blocks)
    both = len(old) + len(new)
    return 2 * matched / both, both - 2 * matched


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shares(counts: Counter[Outcome]) -> dict[Outcome, float]:
    total = counts.total()
    return {outcome: counts[outcome] / total for outcome in OUTCOMES if counts[outcome]}


def _quantiles(values: Sequence[float]) -> tuple[float, ...]:
    if not values:
        return ()
    return tuple(float(value) for value in np.quantile(np.asarray(values, float), QUANTILES))


def _cells(row: ProcessRow) -> list[tuple[str, str]]:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f} %"

    def numbers(values: Sequence[float], digits: int) -> str:
        return " ".join(f"{value:.{digits}f}" for value in values) or "-"

    def shares(values: dict[Outcome, float]) -> str:
        return " ".join(f"{outcome} {100 * value:.1f}" for outcome, value in values.items()) or "-"

    quantiles = "/".join(f"{100 * q:.0f}" for q in QUANTILES)
    return [
        ("trajectories", f"{row.trajectories:,}"),
        ("submissions", f"{row.submissions:,}"),
        ("mean length", "-" if row.mean_length is None else f"{row.mean_length:.2f}"),
        (f"length at {quantiles} %", numbers(row.length_quantiles, 0)),
        ("solved", share(row.solved)),
        ("end correct", share(row.ends_correct)),
        ("first attempt correct", share(row.first_correct)),
        ("outcomes, %", shares(row.outcomes)),
        ("first outcomes, %", shares(row.first_outcomes)),
        *(
            (f"after {before}, %", shares(row.transitions.get(before, {})))
            for before in OUTCOMES
            if before != "refused"
        ),
        (f"grade at 1 .. {POSITIONS}", numbers(row.grade_by_position, 2)),
        ("steps that raise the grade", share(row.raised)),
        ("steps that lower the grade", share(row.lowered)),
        (f"similarity at {quantiles} %", numbers(row.similarity_quantiles, 3)),
        (f"characters edited at {quantiles} %", numbers(row.edited_quantiles, 0)),
        ("resubmitted unchanged", share(row.unchanged)),
    ]
