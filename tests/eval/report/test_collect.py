"""What a report says is what the statistics say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pytest

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import Interval, holm, paired_differences, student_intervals
from novicegym.eval.metrics import score_steps
from novicegym.eval.realism import LEAST_SLOTS
from novicegym.eval.records import RECORDS
from novicegym.eval.report.browser import browser_data
from novicegym.eval.report.collect import PAIRED, collect
from novicegym.eval.report.policies import read_policies
from novicegym.eval.report.write import write_report
from novicegym.eval.support import impute

WriteRun: TypeAlias = Callable[..., Path]

_VERDICT = ("grade_num", "grade_den", "outcome", "case_bits")


def test_a_policys_row_is_the_mean_over_its_seeds_with_intervals(made: Any) -> None:
    [mine] = [one for one in made.policies if one.agent == "_mine:make"]
    [row] = [one for one in made.report.policies if one.name == mine.name]
    scored = [score_steps(table) for table in mine.tables]
    assert row.seeds == (0, 1)
    assert row.runs == ("m0", "m1")
    assert row.support.covered == student_intervals(scored, samples=50)


def test_the_students_agree_with_themselves_and_compete_with_nobody(made: Any) -> None:
    students = made.report.policies[0]
    assert students.is_students
    assert students.support.covered["grade_proximity"].value == 1
    assert students.realism is None
    assert students.name not in {row.policy for row in made.report.paired}
    assert students not in made.report.simulated


def test_differences_are_from_persistence_and_adjusted_over_all_of_them(made: Any) -> None:
    report = made.report
    assert report.baseline == "persistence"
    assert len(report.paired) == 2 * len(PAIRED)
    covered = {one.name: [score_steps(t) for t in one.tables] for one in made.policies}
    imputed = {name: [impute(run) for run in runs] for name, runs in covered.items()}
    expected = {}
    for name in dict.fromkeys(row.policy for row in report.paired):
        for view, scored in (("covered", covered), ("imputed", imputed)):
            found = paired_differences(
                scored["persistence"], scored[name], samples=report.paired_samples
            )
            for metric in ("coverage", "grade_proximity", "codebleu"):
                expected[name, view, metric] = found[metric]
        del expected[name, "imputed", "coverage"]  # the same as covered
    assert {(row.policy, row.view, row.metric): row.difference for row in report.paired} == expected
    ps = holm({key: one.p for key, one in expected.items()})
    assert {(row.policy, row.view, row.metric): row.adjusted_p for row in report.paired} == ps


def test_what_coverage_hides_is_among_the_differences(tmp_path: Path, write_run: WriteRun) -> None:
    """A policy that does once what the student did, and then no more."""
    policies, checked = read_policies([write_run(tmp_path / name, name) for name in "ab"])
    [table] = policies[1].tables
    copied = (("generated_code", "logged_code"), *((x, f"logged_{x}") for x in _VERDICT))
    rows = [
        row | {name: row[of] if row["step"] == 1 else None for name, of in copied}
        for row in table.to_pylist()
    ]
    shy = replace(policies[1], tables=(pa.Table.from_pylist(rows, schema=RECORDS),))
    report = collect([policies[0], shy], checked, samples=50, splits=1)
    found = {
        (row.view, row.metric): row.difference.interval.value
        for row in report.paired
        if row.difference is not None
    }
    for metric in ("grade_proximity", "codebleu"):
        assert found["covered", metric] > 0 > found["imputed", metric]
    assert found["covered", "coverage"] < 0


def test_counts_are_those_of_the_starts(made: Any) -> None:
    table = made.policies[0].tables[0].select(["student_id", "assignment_id", "position"])
    keys = set(zip(*table.to_pydict().values(), strict=True))
    report = made.report
    assert report.episodes == len(keys)
    assert report.trajectories == len({key[:2] for key in keys})
    assert report.students == 8
    assert report.steps == len(table)


def test_without_persistence_the_first_policy_is_the_baseline(
    tmp_path: Path, write_run: WriteRun
) -> None:
    runs = [write_run(tmp_path / name, name) for name in ("logged", "b", "a")]
    policies, checked = read_policies(runs)
    assert collect(policies, checked, samples=5, splits=1).baseline == "b"
    assert collect(policies, checked, samples=5, splits=1, baseline="a").baseline == "a"
    with pytest.raises(UsageError, match="unknown baseline 'logged'"):
        collect(policies, checked, baseline="logged")


def test_one_policy_has_nobody_to_differ_from(tmp_path: Path, write_run: WriteRun) -> None:
    policies, checked = read_policies([write_run(tmp_path / "a", "a")])
    report = collect(policies, checked, samples=5, splits=1)
    assert report.baseline is None
    assert report.paired == ()


def test_a_large_run_lends_the_turing_test_some_of_its_trajectories(made: Any) -> None:
    names = ("persistence", "_mine:make")
    policies = [one for one in made.policies if one.name in names]
    _, checked = read_policies(made.runs)
    tests = []
    for steps in (90, 90, 10**6):
        report = collect(policies, checked, samples=5, splits=1, turing_steps=steps)
        tests.append([one.realism.turing for one in report.policies if one.realism is not None])
    some, again, every = tests
    assert some == again
    whole = [one.realism.turing for one in made.report.policies if one.name in names]
    assert [one.slots for one in every] == [one.slots for one in whole]
    for part, all_of_it in zip(some, every, strict=True):
        assert LEAST_SLOTS <= part.slots < all_of_it.slots


def test_too_few_transitions_leave_out_the_turing_test_and_nothing_else(
    tmp_path: Path, write_run: WriteRun
) -> None:
    policies, checked = read_policies([write_run(tmp_path / "a", "a", steps=1)])
    [row] = collect(policies, checked, samples=5, splits=1).policies
    assert row.realism is not None
    assert row.realism.turing is None
    assert "at least 50 transitions" in row.realism.why_not
    assert row.realism.abandonment.episodes > 0


def test_where_only_first_starts_exist_the_rest_of_the_report_is_there(
    tmp_path: Path, write_run: WriteRun
) -> None:
    """The submission before a first start is in no record: of one step, nothing has a before."""
    runs = [write_run(tmp_path / name, name, steps=1, starts=(3,)) for name in ("a", "b")]
    policies, checked = read_policies(runs)
    report = collect(policies, checked, samples=5, splits=1)
    for one in report.policies:
        assert one.realism is not None
        assert (one.realism.transitions, one.realism.edits) == (None, None)
        assert one.realism.turing is None
        assert one.realism.abandonment.episodes > 0
    page = write_report(report, browser_data(policies), tmp_path / "out").read_text("utf-8")
    assert page.count("Sizes of edits and outcome transitions: not possible") == 2
    assert "Outcome before (rows)" not in page
    assert len(list((tmp_path / "out" / "figures").glob("policy*.svg"))) == 2


def test_records_without_outcomes_are_still_an_error(tmp_path: Path, write_run: WriteRun) -> None:
    policies, checked = read_policies([write_run(tmp_path / "a", "a", steps=1, outcome=None)])
    with pytest.raises(UsageError, match="outcome must be one of"):
        collect(policies, checked, samples=5, splits=1)


def test_policies_that_end_at_once_are_named(made: Any) -> None:
    def alone(one: Any, coverage: float) -> Any:
        value = Interval(coverage, coverage, coverage)
        later = {step: at | {"coverage": value} for step, at in one.by_step.items() if step > 1}
        return replace(one, by_step={1: one.by_step[1], **later})

    first, second, *others = made.report.policies
    report = replace(made.report, policies=(alone(first, 0.0), alone(second, 0.1), *others))
    assert report.ended_at_once == (first.name,)
    assert made.report.ended_at_once == ()
