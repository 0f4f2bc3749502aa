"""Figure 2: by hand, by what must hold for the logged student, and as the released code has it."""

from __future__ import annotations

import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import Interval
from novicegym.eval.grade_curve import CurvePoint, grade_curves
from novicegym.eval.records import RECORDS


def rollouts(
    student: str, grades: list[int], made: list[list[int | None]], first: int = 3
) -> list[dict[str, Any]]:
    """Return the records of rollouts from `first` on; grades are tenths, None is uncovered."""
    rows = []
    for position, steps in enumerate(made, start=first):
        for step, grade in enumerate(steps, start=1):
            rows.append(
                {
                    "student_id": student,
                    "assignment_id": "a",
                    "position": position,
                    "step": step,
                    "logged_code": "x",
                    "logged_grade_num": grades[position + step - 1],
                    "logged_grade_den": 10,
                    "logged_length": len(grades),
                    "generated_code": None if grade is None else "x",
                    "grade_num": grade,
                    "grade_den": None if grade is None else 10,
                }
            )
    return rows


def table(*rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([row for part in rows for row in part], schema=RECORDS)


def values(point: CurvePoint) -> tuple[float | None, ...]:
    lines = (point.logged, point.logged_covered, point.simulated)
    return tuple(None if one is None else one.value for one in lines)


def ends(interval: Interval | None) -> tuple[float, ...]:
    return () if interval is None else (interval.value, interval.low, interval.high)


def near(value: float | None) -> object:
    return None if value is None else pytest.approx(value)


# Five submissions: the rollout from 3 stops after its first step, the one from 4 does not.
ANN = rollouts("ann", [0, 0, 2, 4, 10], [[8, None], [6]])
BEN = rollouts("ben", [0, 1, 2, 2], [[2]])


def test_points_by_hand() -> None:
    curve = grade_curves({"p": [table(ANN, BEN)]}, samples=50)["p"]
    assert [point.position for point in curve] == [i / 10 for i in range(11)]
    there = {point.position: point for point in curve if point.steps}
    assert set(there) == {0.8, 1.0}
    # ann's 4th of 5 is reached from one start: logged .4, simulated .8.
    assert values(there[0.8]) == (near(0.4), near(0.4), near(0.8))
    # ann's last from two, one of which stopped: counts once in the logged line, half in the others.
    logged, covered, simulated = values(there[1.0])
    assert logged == near((1.0 + 0.2) / 2)
    assert covered == near((0.5 * 1.0 + 0.2) / 1.5)
    assert simulated == near((0.5 * 0.6 + 0.2) / 1.5)
    assert (there[1.0].steps, there[1.0].covered) == (3, 2)
    assert there[1.0].coverage == near(2 / 3)
    assert curve[0].coverage is None
    assert values(curve[0]) == (None, None, None)


trajectories = st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=9), min_size=2, max_size=4)


@settings(max_examples=25, deadline=None)
@given(trajectories)
def test_the_logged_student_as_a_policy_gives_the_logged_line(logs: list[list[int]]) -> None:
    parts = []
    for number, grades in enumerate(logs):
        made: list[list[int | None]] = [
            [*grades[position : position + 5]] for position in range(3, len(grades))
        ]
        parts.append(rollouts(f"s{number}", grades, made))
    for point in grade_curves({"logged": [table(*parts)]}, samples=20)["logged"]:
        assert ends(point.simulated) == pytest.approx(ends(point.logged))
        assert ends(point.logged_covered) == pytest.approx(ends(point.logged))
        assert point.coverage in (None, 1.0)


@settings(max_examples=25, deadline=None)
@given(trajectories)
def test_the_logged_line_is_the_mean_over_submissions_whatever_the_policy(
    logs: list[list[int]],
) -> None:
    parts, wanted = [], defaultdict(list)
    for number, grades in enumerate(logs):
        made: list[list[int | None]] = [
            [None] * min(5, len(grades) - position) for position in range(3, len(grades))
        ]
        parts.append(rollouts(f"s{number}", grades, made))
        for index in range(4, len(grades) + 1):
            wanted[round(10 * index / len(grades))].append(grades[index - 1] / 10)
    for i, point in enumerate(grade_curves({"mute": [table(*parts)]}, samples=20)["mute"]):
        mean = near(fmean(wanted[i])) if i in wanted else None
        assert values(point) == (mean, None, None)


def test_runs_of_a_policy_are_pooled() -> None:
    once = table(ANN, BEN)
    other = table(rollouts("ann", [0, 0, 2, 4, 10], [[4, 4], [4]]), BEN)
    curve = grade_curves({"p": [once, other]}, samples=20)["p"]
    assert curve[8].simulated is not None
    assert curve[8].simulated.value == pytest.approx((0.8 + 0.4) / 2)
    assert curve[8].steps == 2


def test_what_has_no_curve_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="policy 'p' has no run"):
        grade_curves({"p": []})
    with pytest.raises(UsageError, match="at least 2 students, got 1"):
        grade_curves({"p": [table(BEN)]})
    with pytest.raises(UsageError, match="1 of 4 records have no logged_length"):
        grade_curves({"p": [table([BEN[0] | {"logged_length": None}], ANN)]})
    with pytest.raises(UsageError, match="unknown metrics preset"):
        grade_curves({"p": [table(ANN, BEN)]}, "publsihed")


def test_published_preset_is_the_released_aggregation_of_the_published_rows(shared: Path) -> None:
    """SPEC A9, computed here from the golden rows; the golden file holds no lines of Figure 2."""
    golden = json.loads((shared / "golden" / "rollout_aggregation.json").read_text("utf-8"))
    experiments = list(golden["generations"])
    runs = {
        name: [
            table(
                [
                    {
                        "student_id": one["student_id"],
                        "assignment_id": one["problem_id"],
                        # their @k is the number of the first submission to predict
                        "position": one["@k"] - 1,
                        "step": one["step"],
                        "logged_code": one["student_code"],
                        "generated_code": one["code"],
                    }
                    | grade("logged_grade", one["student_grade"])
                    | grade("grade", one["grade"])
                    for one in golden["generations"][name]
                ]
            )
        ]
        for name in experiments
    }
    curves = grade_curves(runs, "published", samples=20)
    rows = golden["detailed"]
    longest: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        key = (row["student_id"], row["problem_id"])
        longest[key] = max(longest[key], row["starting_position"] + row["k"] - 1)
    for name in experiments:
        student, model = defaultdict(list), defaultdict(list)
        for row in rows:
            if row["experiment"] == name:
                position = row["starting_position"] + row["k"] - 1
                bin_ = round(10 * position / longest[row["student_id"], row["problem_id"]])
                student[bin_].append(row["true_grade"] / 100)
                if row["pred_grade"] is not None:
                    model[bin_].append(row["pred_grade"] / 100)
        for i, point in enumerate(curves[name]):
            logged, _, simulated = values(point)
            assert logged == (near(fmean(student[i])) if i in student else None)
            assert simulated == (near(fmean(model[i])) if i in model else None)
        assert len(model) > 5


def grade(name: str, percent: float | None) -> dict[str, int | None]:
    if percent is None:
        return {f"{name}_num": None, f"{name}_den": None}
    exact = Fraction(percent) / 100
    return {f"{name}_num": exact.numerator, f"{name}_den": exact.denominator}
