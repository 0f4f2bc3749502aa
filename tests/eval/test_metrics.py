"""Metrics of episode records: by hand on small runs, and the published aggregation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.eval.metrics import Metrics, measure, score_steps
from novicegym.eval.records import RECORDS
from novicegym.rewards.codebleu import codebleu


def record(
    step: int,
    logged: tuple[str, Fraction | int],
    generated: tuple[str, Fraction | int] | None,
    *,
    position: int = 3,
    student: str = "s",
    assignment: str = "a",
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "course": "c",
        "synthetic": False,
        "agent": "agent",
        "protocol": "paper",
        "seed": 0,
        "student_id": student,
        "assignment_id": assignment,
        "position": position,
        "step": step,
        "logged_code": logged[0],
        "logged_grade_num": Fraction(logged[1]).numerator,
        "logged_grade_den": Fraction(logged[1]).denominator,
    }
    if generated is not None:
        row["generated_code"] = generated[0]
        row["grade_num"] = Fraction(generated[1]).numerator
        row["grade_den"] = Fraction(generated[1]).denominator
    return row


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=RECORDS)


A = "def f(x):\n    y = x + 1\n    return y"
B = "def g(a, b):\n    while a < b:\n        a = a + b\n    return a"
THIRD = Fraction(1, 3)

# Two rollouts: one is solved at its first step and stops, the other goes on.
RUN = [
    record(1, (A, THIRD), (A, 1), position=3),
    record(2, (A, 1), None, position=3),
    record(1, (B, 0), (A, THIRD), position=4),
    record(2, (B, 1), (B, 1), position=4),
    record(3, (B, 1), None, position=4),
]


def test_metrics_by_hand() -> None:
    run = measure(table(RUN))
    cross = codebleu(B, A)
    assert (run.episodes, run.records) == (2, 5)
    assert [step.coverage for step in run.steps] == [1.0, 0.5, 0.0]
    assert run.coverage.micro == 3 / 5
    assert run.coverage.macro == pytest.approx(0.5)
    assert run.coverage.degradation == pytest.approx((-0.5 - 1.0) / 2)
    proximity = [step.grade_proximity for step in run.steps]
    assert proximity == [pytest.approx((THIRD + 1 - THIRD) / 2), 1.0, None]
    assert run.grade_proximity.micro == pytest.approx((1 / 3 + 2 / 3 + 1) / 3)
    assert run.grade_proximity.macro == pytest.approx(0.75)
    assert run.grade_proximity.degradation == pytest.approx(0.5)
    assert run.codebleu.macro == pytest.approx(((1 + cross.total) / 2 + 1) / 2)
    assert run.codebleu_corrected.micro == pytest.approx((1 + cross.corrected + 1) / 3)


def test_nothing_is_rounded_in_the_paper_preset() -> None:
    run = measure(table([record(1, (A, 1), (A, Fraction(2, 3)))]))
    assert run.grade_proximity.macro == 1 - abs(2 / 3 - 1)
    assert measure(table(RUN[:1]), "published").grade_proximity.macro == 0.33


def test_the_record_order_and_the_number_of_processes_do_not_matter() -> None:
    backwards = table(RUN[::-1])
    assert measure(backwards) == measure(table(RUN))
    assert measure(table(RUN), workers=2) == measure(table(RUN))


def test_codebleu_is_computed_once_for_equal_pairs() -> None:
    calls: list[tuple[int, int]] = []
    measure(table(RUN), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    calls.clear()
    again = [row | {"position": 9} for row in RUN[:1]]
    measure(table(RUN + again), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (3, 3)


def test_an_empty_run_has_no_values() -> None:
    run = measure(table([]))
    assert (run.episodes, run.records, run.steps) == (0, 0, ())
    assert (run.coverage.micro, run.grade_proximity.macro, run.codebleu.degradation) == (None,) * 3


def test_a_policy_that_never_submits_has_coverage_and_nothing_else() -> None:
    run = measure(table([record(1, (A, 1), None), record(2, (A, 1), None)]))
    assert run.coverage.micro == 0.0
    assert run.coverage.degradation == 0.0
    assert run.grade_proximity.macro is None
    assert run.codebleu.macro is None


def test_any_submission_counts_for_the_paper_but_not_for_the_released_code() -> None:
    codes = ["exit()  # enough", "EXIT()", "exit", "...", "", " \n", "quit()", A]
    rows = [record(1, (A, 1), (code, 0), position=position) for position, code in enumerate(codes)]
    assert measure(table(rows)).coverage.micro == 1.0
    assert measure(table(rows), "published").coverage.micro == 2 / 8


@pytest.mark.parametrize("code", [A, "", " \n", "exit()", "x = ("])
def test_whoever_replays_the_student_covers_her_exactly(code: str) -> None:
    run = measure(table([record(1, (code, THIRD), (code, THIRD))]))
    assert (run.coverage.micro, run.grade_proximity.macro) == (1.0, 1.0)


def test_solved_means_any_step_for_us_and_the_last_for_the_released_code() -> None:
    assert [one.solved for one in score_steps(table(RUN))] == [True] * 5
    # Both rollouts stopped before their last record, which decides there.
    assert [one.solved for one in score_steps(table(RUN), "published")] == [False] * 5


@pytest.mark.parametrize(
    ("rows", "preset", "message"),
    [
        (table(RUN + RUN[:1]), "paper", "step 1 of student 's', assignment 'a', position 3 twice"),
        (table(RUN).drop_columns(["logged_code", "step"]), "paper", "no column logged_code, step"),
        (table(RUN), "papier", "Did you mean 'paper'"),
    ],
)
def test_wrong_input_is_a_usage_error(rows: pa.Table, preset: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure(rows, preset)


GRADES = st.fractions(0, 1, max_denominator=7)
SUBMISSIONS = st.tuples(st.sampled_from([A, B, "", "exit()", "x = ("]), GRADES)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(3, 6), st.integers(1, 5)),
        st.tuples(SUBMISSIONS, st.none() | SUBMISSIONS),
        max_size=12,
    ),
    st.sampled_from(["paper", "published"]),
)
def test_every_value_is_in_its_range(
    played: Mapping[tuple[int, int], tuple[Any, Any]], preset: str
) -> None:
    rows = [
        record(step, logged, generated, position=position)
        for (position, step), (logged, generated) in played.items()
    ]
    run = measure(table(rows), preset)
    for metric in (run.coverage, run.grade_proximity, run.codebleu, run.codebleu_corrected):
        for value in (metric.micro, metric.macro):
            assert value is None or 0.0 <= value <= 1.0
        assert metric.degradation is None or -1.0 <= metric.degradation <= 1.0
    assert sum(step.records for step in run.steps) == len(rows)


EXPERIMENTS = {"base": "BASE", "sft_para": "PARA"}


@pytest.fixture
def golden(shared: Path) -> dict[str, Any]:
    path = shared / "golden" / "rollout_aggregation.json"
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def published_run(golden: dict[str, Any], experiment: str) -> pa.Table:
    return table(
        [
            record(
                one["step"],
                (one["student_code"], Fraction(one["student_grade"]) / 100),
                None if one["code"] is None else (one["code"], Fraction(one["grade"]) / 100),
                position=one["@k"],
                student=one["student_id"],
                assignment=one["problem_id"],
            )
            for one in golden["generations"][experiment]
        ]
    )


def near(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, abs=1e-9)


def percent(grade: float | None) -> float | None:
    return None if grade is None else 100 * grade


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_published_preset_reproduces_each_step(golden: dict[str, Any], experiment: str) -> None:
    scored = score_steps(published_run(golden, experiment), "published")
    wanted = {
        (row["student_id"], row["problem_id"], row["starting_position"], row["k"]): row
        for row in golden["detailed"]
        if row["experiment"] == experiment
    }
    assert len(scored) == len(wanted) == 60
    for one in scored:
        row = wanted[one.student_id, one.assignment_id, one.position, one.step]
        assert one.has_counterpart == row["has_ground_truth"]
        assert one.has_code == row["has_model_code"]
        assert one.valid == row["has_valid_pair"]
        assert percent(one.logged_grade) == near(row["true_grade"])
        assert percent(one.grade) == near(row["pred_grade"])
        assert one.grade_proximity == near(row["grade_proximity"])
        assert one.codebleu == near(row["codebleu"])
        assert one.solved == row["trajectory_solved"]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_published_preset_reproduces_each_k_and_the_averages(
    golden: dict[str, Any], experiment: str
) -> None:
    run: Metrics = measure(published_run(golden, experiment), "published")
    method = EXPERIMENTS[experiment]
    wanted = [row for row in golden["per_k"] if row["method"] == method]
    assert len(run.steps) == len(wanted) == 5
    for one, row in zip(run.steps, wanted, strict=True):
        assert one.step == row["k"]
        assert (one.records, one.counterparts) == (row["n_rows"], row["has_ground_truth"])
        assert (one.generated, one.valid) == (row["has_model_code"], row["has_valid_pair"])
        assert one.coverage == near(row["coverage"])
        assert one.grade_proximity == near(row["grade_proximity"])
        assert one.codebleu == near(row["codebleu"])
    [average] = [row for row in golden["averaged"] if row["Method"] == method]
    assert run.coverage.micro == near(average["Cov"])
    assert run.grade_proximity.macro == near(average["GP"])
    assert run.codebleu.macro == near(average["CB"])
    assert run.coverage.degradation == near(average["ΔCov"])
    assert run.grade_proximity.degradation == near(average["ΔGP"])
    assert run.codebleu.degradation == near(average["ΔCB"])
