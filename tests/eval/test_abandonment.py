"""Who has not solved by when the student stopped, asked only where she has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from novicegym.errors import UsageError
from novicegym.eval.abandonment import Abandonment, abandonment
from novicegym.eval.records import RECORDS


def rollout(
    student: str,
    position: int,
    length: int,
    made: str = "",
    *,
    solves: bool = True,
    assignment: str = "a",
) -> list[dict[str, Any]]:
    """Return a rollout of at most 5 steps; `made` is "0" or "1" for wrong or correct, "e" exit."""
    rows = []
    for step in range(1, min(5, length - position) + 1):
        did = made[step - 1 : step]
        rows.append(
            {
                "student_id": student,
                "assignment_id": assignment,
                "position": position,
                "step": step,
                "logged_length": length,
                "final_logged_grade_num": int(solves),
                "final_logged_grade_den": 1,
                "grade_num": int(did) if did and did in "01" else None,
                "grade_den": 1 if did and did in "01" else None,
                "stop": "exit" if did == "e" else None,
            }
        )
    return rows


def found(*rollouts: list[dict[str, Any]]) -> Abandonment:
    rows = [row for one in rollouts for row in one]
    return abandonment([pa.Table.from_pylist(rows, schema=RECORDS)], samples=50)


def shown(result: Abandonment) -> dict[str, float | None]:
    names = (
        *("logged", "simulated", "when_abandoned", "when_solved"),
        *("leaves", "exits"),
    )
    cells = {name: getattr(result, name) for name in names}
    return {name: None if one is None else one.value for name, one in cells.items()}


def test_shares_by_hand() -> None:
    result = found(
        rollout("ann", 3, 5, "00"),  # unsolved where she solved
        rollout("ann", 4, 5, "1"),
        rollout("ben", 3, 4, "0", solves=False),  # both unsolved
        rollout("cem", 3, 9, "00e", solves=False),  # undecided: 6 submissions to go
        rollout("cem", 8, 9, "1", solves=False),
    )
    assert (result.episodes, result.decided) == (5, 4)
    assert shown(result) == {
        "logged": 2 / 4,
        "simulated": 2 / 4,
        "when_abandoned": 1 / 2,
        "when_solved": 1 / 2,
        "leaves": 2 / 5,
        "exits": 1 / 5,
    }


def test_an_independent_redraw_of_the_students_is_far_above_them() -> None:
    """So the share is none of giving up: here nobody ever does, neither student nor policy."""
    rng = np.random.default_rng(0)
    rollouts = []
    for student in range(1500):
        length = int(rng.geometric(0.2))
        for position in range(3, length):
            made = ["0"] * 5
            solved = int(rng.geometric(0.2))
            made[solved - 1 :] = ["1"] if solved <= 5 else []
            rollouts.append(rollout(f"s{student}", position, length, "".join(made)))
    result = found(*rollouts)
    assert shown(result)["logged"] == shown(result)["leaves"] == shown(result)["exits"] == 0
    # Up to her end there are 1 to 5 submissions, j of them in proportion to 0.8^j, and a redraw
    # is unsolved after j with a chance of 0.8^j.
    weights = 0.8 ** np.arange(1, 6)
    expected = float(np.average(weights, weights=weights))
    assert expected == pytest.approx(0.59, abs=0.005)
    assert shown(result)["simulated"] == pytest.approx(expected, abs=0.03)


def test_the_logged_student_as_a_policy_abandons_as_often() -> None:
    result = found(
        rollout("ann", 3, 6, "001"),
        rollout("ben", 3, 5, "00", solves=False),
        rollout("cem", 3, 12, "00000", solves=False),
    )
    values = shown(result)
    assert values["logged"] == values["simulated"] == 0.5
    assert result.simulated == result.logged
    assert (values["when_abandoned"], values["when_solved"]) == (1, 0)


def test_an_exit_is_unsolved_wherever_it_comes() -> None:
    result = found(rollout("ann", 3, 6, "0e"), rollout("ben", 3, 6, "e"))
    assert shown(result)["simulated"] == 1
    assert shown(result)["exits"] == 1


def test_a_rollout_that_solved_before_its_last_record_is_solved() -> None:
    result = found(rollout("ann", 3, 8, "01"), rollout("ben", 3, 8, "1"))
    assert shown(result)["simulated"] == 0


def test_where_nothing_is_decided_only_exits_have_a_share() -> None:
    result = found(rollout("ann", 3, 30, "e"), rollout("ben", 3, 30, "00000"))
    values = shown(result)
    assert values.pop("exits") == 0.5
    assert values.pop("leaves") == 0
    assert set(values.values()) == {None}


def test_assignments_and_positions_are_rollouts_of_their_own() -> None:
    result = found(
        rollout("ann", 3, 4, "1"),
        rollout("ann", 3, 4, "0", assignment="b"),
        rollout("ben", 3, 4, "0"),
    )
    assert result.episodes == 3
    assert shown(result)["simulated"] == pytest.approx(2 / 3)


def test_what_cannot_be_asked_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="at least 2 students, got 1"):
        found(rollout("ann", 3, 4, "1"))
    rows = [row | {"final_logged_grade_num": None} for row in rollout("ann", 3, 5, "1")]
    with pytest.raises(UsageError, match="2 of 2 records have no final_logged_grade_num"):
        found(rows)
