"""Moves of students and policies, paired by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from novicegym.errors import UsageError
from novicegym.eval.moves import GradedCode, Move, PairedMove, paired_moves
from novicegym.eval.records import RECORDS

LOG = "abcde"
"""A student's programs, a letter each; the grade is the letter's place in fifths."""


def rows(position: int, made: str, log: str = LOG) -> list[dict[str, Any]]:
    """The records of a rollout that makes these programs and stops."""
    return [
        {
            "student_id": "ann",
            "assignment_id": "a",
            "position": position,
            "step": step,
            "logged_code": log[position + step - 1],
            "logged_grade_num": position + step - 1,
            "logged_grade_den": 5,
            "logged_outcome": "logical",
            "generated_code": made[step - 1] if step <= len(made) else None,
            "grade_num": 0 if step <= len(made) else None,
            "grade_den": 1 if step <= len(made) else None,
            "outcome": "runtime" if step <= len(made) else None,
        }
        for step in range(1, len(log) - position + 1)
    ]


def table(*parts: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([row for part in parts for row in part], schema=RECORDS)


def logged(letter: str) -> GradedCode:
    return GradedCode(letter, LOG.index(letter) / 5, "logical")


def made(letter: str) -> GradedCode:
    return GradedCode(letter, 0.0, "runtime")


def test_each_step_is_paired_with_what_was_there_before_it() -> None:
    # From 2 on: c, d, e are her next. Of step 1 from 2, the program before (b) is nowhere.
    found = paired_moves(table(rows(3, "y"), rows(2, "vw")))
    key = ("ann", "a")
    assert found == [
        PairedMove((*key, 4), 2, Move(logged("c"), logged("d")), Move(made("v"), made("w"))),
        PairedMove((*key, 5), 2, Move(logged("d"), logged("e")), None),  # it had stopped
        PairedMove((*key, 4), 2, Move(logged("c"), logged("d")), Move(logged("c"), made("y"))),
        PairedMove((*key, 5), 2, Move(logged("d"), logged("e")), None),
    ]


def test_the_order_of_the_records_does_not_matter() -> None:
    every = [*rows(2, "vw"), *rows(3, "y")]
    assert paired_moves(table(every)) == paired_moves(table(every[::-1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 2}, "1 steps of rollouts more than once"),
        ({"logged_grade_num": None}, "1 of 3 records have no logged_grade_num"),
        ({"grade_den": None}, "no grade_num or no grade_den"),
        ({"outcome": "odd"}, "outcome must be one of .*, got 'odd'"),
        ({"outcome": None}, "outcome must be one of .*, got None"),
    ],
)
def test_what_is_no_record_of_a_run_is_named(change: dict[str, Any], message: str) -> None:
    first, *others = rows(2, "vw")
    with pytest.raises(UsageError, match=message):
        paired_moves(table([first | change], others))
