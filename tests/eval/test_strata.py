"""Strata: every episode in one of them, each measured as if it were alone."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import STATISTICS
from novicegym.eval.metrics import ScoredStep, score_steps, summarize
from novicegym.eval.records import RECORDS
from novicegym.eval.strata import STRATA, stratify


def record(
    student: str, assignment: str, step: int, length: int, final: int, grade: int | None
) -> dict[str, Any]:
    """Return a step of a rollout from position 3; grades are halves."""
    return {
        "student_id": student,
        "assignment_id": assignment,
        "position": 3,
        "step": step,
        "logged_code": "x = 1",
        "logged_grade_num": 1,
        "logged_grade_den": 2,
        "logged_length": length,
        "final_logged_grade_num": final,
        "final_logged_grade_den": 2,
        "generated_code": None if grade is None else "x = 1",
        "grade_num": grade,
        "grade_den": None if grade is None else 2,
    }


RECORDED = [
    record("ann", "add", 1, 5, 2, 2),
    record("ann", "add", 2, 5, 2, None),
    record("ben", "add", 1, 6, 1, 0),
    record("ben", "add", 2, 6, 1, 0),
    record("ann", "double", 1, 21, 2, 1),
    record("cem", "double", 1, 4, 1, 1),
    record("dia", "double", 1, 4, 2, 1),
]


def scored(rows: list[dict[str, Any]]) -> tuple[pa.Table, list[ScoredStep]]:
    table = pa.Table.from_pylist(rows, schema=RECORDS)
    return table, score_steps(table, with_codebleu=False)


TABLE, RUN = scored(RECORDED)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("student_success", ["solved", "unsolved"]),
        ("policy_success", ["solved", "unsolved"]),
        ("assignment", ["add", "double"]),
        ("length", ["up to 5", "6-10", "over 20"]),
    ],
)
def test_strata_come_in_a_fixed_order_and_hold_every_record_once(by: str, names: list[str]) -> None:
    strata = stratify([TABLE], [RUN], by, samples=10)
    assert [one.name for one in strata] == names
    assert {one.by for one in strata} == {by}
    assert sum(one.metrics[0].records for one in strata) == len(RUN)
    assert sum(one.metrics[0].episodes for one in strata) == 5


def test_a_stratum_is_measured_alone() -> None:
    solved, unsolved = stratify([TABLE], [RUN], "student_success", samples=10)
    members = [RUN[index] for index in (0, 1, 4, 6)]
    assert solved.metrics == (summarize(members),)
    assert solved.students == 2
    proximity = unsolved.intervals["grade_proximity"]
    assert proximity is not None
    assert proximity.value == pytest.approx(((0.5 + 1) / 2 + 0.5) / 2)


def test_the_policys_success_is_that_of_the_whole_rollout() -> None:
    solved, _ = stratify([TABLE], [RUN], "policy_success", samples=10)
    assert solved.metrics[0].records == 2
    assert solved.metrics[0].coverage.micro == 0.5


def test_a_stratum_of_one_student_has_values_and_no_interval() -> None:
    (*_, longest) = stratify([TABLE], [RUN], "length")
    assert longest.students == 1
    assert longest.metrics[0].grade_proximity.micro == 1
    assert longest.intervals == dict.fromkeys(STATISTICS)


def test_runs_are_averaged_where_they_have_the_stratum() -> None:
    other = [row | {"grade_num": 0, "grade_den": 2, "generated_code": "y"} for row in RECORDED]
    table, run = scored(other)
    strata = stratify([TABLE, table], [RUN, run], "policy_success", samples=10)
    assert [len(one.metrics) for one in strata] == [1, 2]
    same = stratify([TABLE, TABLE], [RUN, RUN], "assignment", samples=10)
    once = stratify([TABLE], [RUN], "assignment", samples=10)
    assert [one.intervals for one in same] == [one.intervals for one in once]


def test_no_records_no_strata() -> None:
    for by in STRATA:
        assert stratify([TABLE.slice(0, 0)], [[]], by) == ()


def test_what_cannot_be_stratified_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"unknown stratification 'lenght'.*Did you mean"):
        stratify([TABLE], [RUN], "lenght")
    with pytest.raises(UsageError, match="run 1 has 6 scored steps for 7 records"):
        stratify([TABLE], [RUN[1:]], "assignment")
    old, run = scored([row | {"logged_length": None} for row in RECORDED])
    with pytest.raises(UsageError, match="7 of 7 records have no logged_length"):
        stratify([old], [run], "length")
