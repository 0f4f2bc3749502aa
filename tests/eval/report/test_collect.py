"""What a report says is what the statistics say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import holm, paired_differences, student_intervals
from novicegym.eval.metrics import score_steps
from novicegym.eval.realism import LEAST_SLOTS
from novicegym.eval.report.collect import COMPARED, collect
from novicegym.eval.report.policies import read_policies

WriteRun: TypeAlias = Callable[..., Path]


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
    assert len(report.paired) == 2 * len(COMPARED)
    scored = {one.name: [score_steps(t) for t in one.tables] for one in made.policies}
    expected, ps = [], {}
    for name in dict.fromkeys(row.policy for row in report.paired):
        found = paired_differences(
            scored["persistence"], scored[name], samples=report.paired_samples
        )
        expected += [found[metric] for metric in COMPARED]
        ps |= {(name, metric): found[metric].p for metric in COMPARED}
    assert [row.difference for row in report.paired] == expected
    assert [row.adjusted_p for row in report.paired] == list(holm(ps).values())


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
