"""Outcome transitions and edit sizes: by hand, and for the logged student played as a policy."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import Interval
from novicegym.eval.records import RECORDS
from novicegym.eval.style import normalized
from novicegym.eval.transitions import (
    EDIT_EDGES,
    Matrix,
    edit_distances,
    outcome_transitions,
)
from novicegym.grading.verdict import OUTCOMES

Turn = tuple[str, str]
"""(code, outcome)"""


def rollouts(
    student: str, log: list[Turn], made: dict[int, list[Turn]], horizon: int = 5
) -> list[dict[str, Any]]:
    """Return the records of the rollouts from each position in `made`, which may stop early."""
    rows = []
    for position, turns in made.items():
        for step in range(1, min(horizon, len(log) - position) + 1):
            code, outcome = turns[step - 1] if step <= len(turns) else (None, None)
            rows.append(
                {
                    "student_id": student,
                    "assignment_id": "a",
                    "position": position,
                    "step": step,
                    "logged_code": log[position + step - 1][0],
                    "logged_outcome": log[position + step - 1][1],
                    "logged_grade_num": 0,
                    "logged_grade_den": 1,
                    "generated_code": code,
                    "outcome": outcome,
                    "grade_num": 0,
                    "grade_den": 1,
                }
            )
    return rows


def table(*rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([row for part in rows for row in part], schema=RECORDS)


def share(matrix: Matrix, before: str, after: str) -> float | None:
    names: list[str] = list(OUTCOMES)
    cell = matrix[names.index(before)][names.index(after)]
    return None if cell is None else cell.value


C, L, R, X = ("w", "compile"), ("y", "logical"), ("z", "runtime"), ("x", "correct")
LOG = [C, C, C, C, L, R, X]
# From 3 the policy goes compile (unknown before), logical, logical, and stops; from 4 it solves.
ANN = rollouts("ann", LOG, {3: [C, L, L], 4: [X], 5: [R, R], 6: [R]})
BEN = rollouts("ben", LOG, {3: [], 4: [], 5: [], 6: []})


def test_transitions_by_hand() -> None:
    found = outcome_transitions([table(ANN, BEN)], samples=50)
    # compile -> logical -> runtime -> correct, by both; what led to the 4th is not recorded.
    assert found.logged_steps == 6
    assert share(found.logged, "compile", "logical") == 1
    assert share(found.logged, "logical", "runtime") == 1
    assert share(found.logged, "runtime", "correct") == 1
    assert share(found.logged, "correct", "correct") is None
    # To ann's 5th: compile -> logical (from 3), compile -> correct (from 4): half each.
    assert share(found.simulated, "compile", "logical") == pytest.approx(0.5)
    assert share(found.simulated, "compile", "correct") == pytest.approx(0.5)
    # To her 6th, reached from 3 starts, one stopped: logical -> logical, logical -> runtime.
    assert share(found.simulated, "logical", "logical") == pytest.approx(0.5)
    assert share(found.simulated, "logical", "runtime") == pytest.approx(0.5)
    assert share(found.simulated, "runtime", "runtime") == 1
    assert found.simulated_steps == 6


codes = st.text("ab\n", max_size=6)
logs = st.lists(
    st.lists(st.tuples(codes, st.sampled_from(OUTCOMES)), min_size=4, max_size=8),
    min_size=2,
    max_size=3,
)


@settings(max_examples=25, deadline=None)
@given(logs)
def test_the_logged_student_as_a_policy_proceeds_as_logged(trajectories: list[list[Turn]]) -> None:
    run = table(
        *(
            rollouts(f"s{i}", log, {t: log[t : t + 5] for t in range(3, len(log))})
            for i, log in enumerate(trajectories)
        )
    )
    if all(len(log) == 4 for log in trajectories):
        return
    students = sum(len(log) > 4 for log in trajectories)
    if students < 2:
        with pytest.raises(UsageError, match="at least 2 students, got 1"):
            outcome_transitions([run])
        return
    found = outcome_transitions([run], samples=20)
    for logged, simulated in zip(found.logged, found.simulated, strict=True):
        assert numbers(simulated) == pytest.approx(numbers(logged))
        cells = [cell.value for cell in logged if cell is not None]
        assert not cells or sum(cells) == pytest.approx(1)
    edits = edit_distances([run], samples=20)
    assert numbers(edits.simulated.shares) == pytest.approx(numbers(edits.logged.shares))
    wanted = [
        distance(normalized(old), normalized(new))
        for log in trajectories
        for (old, _), (new, _) in pairwise(log[3:])
    ]
    assert edits.logged.mean is not None
    assert edits.logged.mean.value == pytest.approx(sum(wanted) / len(wanted))
    for number, cell in enumerate(edits.logged.shares):
        below = EDIT_EDGES[number - 1] if number else -1.0
        inside = sum(below < one <= EDIT_EDGES[number] for one in wanted)
        assert cell is not None
        assert cell.value == pytest.approx(inside / len(wanted))


def numbers(cells: tuple[Interval | None, ...]) -> list[float]:
    return [
        number
        for cell in cells
        for number in ((-1, -1, -1) if cell is None else (cell.value, cell.low, cell.high))
    ]


def distance(old: str, new: str) -> float:
    """Levenshtein by the textbook, over the longer length."""
    row = list(range(len(new) + 1))
    for i, a in enumerate(old, start=1):
        last, row[0] = row[0], i
        for j, b in enumerate(new, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    longest = max(len(old), len(new))
    return row[-1] / longest if longest else 0.0


def test_an_edit_starts_from_what_the_policy_submitted_itself() -> None:
    log = [("abcd", "logical")] * 6
    made = {4: [("abcx", "logical"), ("abcx", "logical")], 3: []}
    run = table(*(rollouts(student, log, made) for student in ("ann", "ben")))
    found = edit_distances([run], samples=20)
    assert numbers(found.logged.shares[:1]) == [1, 1, 1]
    assert found.simulated.mean is not None
    # To the 5th 1/4, to the 6th 0.
    assert found.simulated.mean.value == pytest.approx(1 / 8)
    assert found.simulated.shares[0] is not None
    assert found.simulated.shares[0].value == pytest.approx(0.5)


def test_what_a_file_does_to_a_program_is_no_edit() -> None:
    log = [("a\nb\n", "logical")] * 4 + [("a\nc\n", "logical"), ("a\nc", "logical")]
    made = {
        4: [("a\r\nc", "logical"), ("\na\rc \n", "logical")],
        3: [("a\nb", "logical"), ("a\nc\n\n", "logical"), ("a\nc", "logical")],
    }
    run = table(*(rollouts(student, log, made) for student in ("ann", "ben")))
    found = edit_distances([run], samples=20)
    assert numbers(found.simulated.shares) == numbers(found.logged.shares)
    assert found.simulated.mean == found.logged.mean
    # To the 5th one of three characters, to the 6th none.
    assert numbers(found.logged.shares[:1]) == [0.5, 0.5, 0.5]
    assert found.logged.mean is not None
    assert found.logged.mean.value == pytest.approx(1 / 6)


def test_runs_are_pooled() -> None:
    found = outcome_transitions([table(ANN, BEN), table(BEN, ANN)], samples=20)
    once = outcome_transitions([table(ANN, BEN)], samples=20)
    assert found.logged_steps == once.logged_steps
    assert found.simulated_steps == 2 * once.simulated_steps
    for one, other in zip(found.simulated, once.simulated, strict=True):
        assert numbers(one) == pytest.approx(numbers(other))


def test_edit_distances_without_their_package_name_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(UsageError, match=r"pip install 'novicegym\[eval\]'"):
        edit_distances([table(ANN, BEN)])
