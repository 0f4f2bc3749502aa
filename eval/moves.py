"""What a student did at each step of a rollout beside what the policy did there.

A move goes from one submission to the next. At a later step of a rollout both submissions are the
policy's; at its first step it starts from the student's own last submission, which the records
hold as the target of an earlier start. Where they do not (the first start of each trajectory),
the step is left out on both sides.

Covered: one run. Not covered: what a move is like, which is `novicegym.eval.transitions` and
`novicegym.eval.submission_features`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from novicegym.errors import UsageError
from novicegym.eval.records import columns
from novicegym.grading.verdict import OUTCOMES


@dataclass(frozen=True, slots=True)
class GradedCode:
    """One submission as a record holds it."""

    code: str
    grade: float
    """In [0, 1]."""
    outcome: str
    """One of `novicegym.grading.verdict.OUTCOMES`."""


class Move(NamedTuple):
    """From one submission to the next."""

    before: GradedCode
    after: GradedCode


@dataclass(frozen=True, slots=True)
class PairedMove:
    """The moves at one step of one rollout."""

    target: tuple[str, str, int]
    """Student, assignment and which of her submissions it is that she moved to."""
    copies: int
    """Steps of rollouts, covered or not, whose beginning is known and that have this target: a
    late submission has more."""
    logged: Move
    simulated: Move | None
    """None where the policy had stopped before."""


_KEY = ("student_id", "assignment_id", "position", "step")
_LOGGED = ("logged_code", "logged_grade_num", "logged_grade_den", "logged_outcome")
_GENERATED = ("generated_code", "grade_num", "grade_den", "outcome")


def paired_moves(records: pa.Table) -> list[PairedMove]:
    """Return the moves of one run whose beginning is known, by student, assignment and step.

    Raises UsageError for a step of a rollout held twice, a missing column, a submission without
    a grade, and an outcome that does not exist.
    """
    keys = list(zip(*columns(records, _KEY), strict=True))
    if len(set(keys)) < len(keys):
        raise UsageError(
            f"the records hold {len(keys) - len(set(keys))} steps of rollouts more than once; "
            "give one run at a time"
        )
    logged: dict[tuple[str, str, int], GradedCode] = {}
    generated: dict[tuple[str, str, int, int], GradedCode] = {}
    cells_of = (*columns(records, _LOGGED, complete=_LOGGED), *columns(records, _GENERATED))
    for (student, assignment, position, step), *cells in zip(keys, *cells_of, strict=True):
        logged[student, assignment, position + step] = _graded(*cells[:4])
        if cells[4] is not None:
            generated[student, assignment, position, step] = _graded(*cells[4:])
    known = sorted(key for key in keys if (*key[:2], key[2] + key[3] - 1) in logged)
    copies = Counter((*key[:2], key[2] + key[3]) for key in known)
    moves = []
    for key in known:
        student, assignment, position, step = key
        target = (student, assignment, position + step)
        first = logged[student, assignment, position + step - 1]
        # The records are complete: every step but the first has the one before it.
        before = first if step == 1 else generated.get((student, assignment, position, step - 1))
        after = generated.get(key)
        simulated = None if before is None or after is None else Move(before, after)
        moves.append(PairedMove(target, copies[target], Move(first, logged[target]), simulated))
    return moves


def _graded(
    code: str, numerator: int | None, denominator: int | None, outcome: str | None
) -> GradedCode:
    if outcome not in OUTCOMES:
        raise UsageError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
    if numerator is None or denominator is None:
        raise UsageError("a generated submission has no grade_num or no grade_den")
    return GradedCode(code, numerator / denominator, outcome)
