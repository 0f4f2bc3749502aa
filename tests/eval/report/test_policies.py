"""Grouping runs into policies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from novicegym.errors import UsageError
from novicegym.eval.report.policies import check_one_policy, read_policies

WriteRun: TypeAlias = Callable[..., Path]


def test_seeds_of_one_policy_are_one_row_in_the_order_of_the_seeds(
    tmp_path: Path, write_run: WriteRun
) -> None:
    runs = [
        write_run(tmp_path / "b1", "b", seed=1),
        write_run(tmp_path / "a", "a"),
        write_run(tmp_path / "b0", "b", seed=0),
    ]
    policies, checked = read_policies(runs)
    assert [(one.name, one.seeds) for one in policies] == [("b", (0, 1)), ("a", (0,))]
    assert policies[0].runs == (runs[2], runs[0])
    assert [table["seed"][0].as_py() for table in policies[0].tables] == [0, 1]
    assert checked.course == "made"


def test_one_agent_with_other_settings_is_another_policy_and_named_by_its_folder(
    tmp_path: Path, write_run: WriteRun
) -> None:
    full = write_run(tmp_path / "full", "a")
    none = write_run(tmp_path / "none", "a", feedback="none")
    policies, _ = read_policies([full, none])
    assert [one.name for one in policies] == [f"a ({full})", f"a ({none})"]


def test_a_policy_given_twice_with_one_seed_is_refused(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / name, "a", seed=3) for name in ("first", "second")]
    with pytest.raises(UsageError, match=r"first and .*second are the same policy .* seed 3"):
        read_policies(runs)


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / "a", "a"), write_run(tmp_path / "b", "b", course="other")]
    with pytest.raises(UsageError, match="different courses: 'a' has 'made', 'b' has 'other'"):
        read_policies(runs)


def test_only_the_logged_students_are_students(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / name, name) for name in ("logged", "persistence")]
    assert [one.is_students for one in read_policies(runs)[0]] == [True, False]


def test_an_agent_that_calls_itself_logged_is_a_policy(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [
        write_run(tmp_path / spec, "logged", source={"course": "c", "agent": spec})
        for spec in ("hf:logged", "logged", "mine:logged")
    ]
    policies, _ = read_policies(runs)
    assert [one.is_students for one in policies] == [False, True, False]


def test_runs_of_one_policy_differ_in_their_seed_alone(tmp_path: Path, write_run: WriteRun) -> None:
    def sampled(name: str, seed: int, temperature: float) -> Path:
        source = {"decoding": {"temperature": temperature}}
        return write_run(tmp_path / name, "a", seed=seed, source=source)

    runs = [sampled("cold", 0, 0.7), sampled("again", 1, 0.7)]
    check_one_policy(runs)
    hot = sampled("hot", 2, 1.0)
    with pytest.raises(UsageError, match=r"cold and .*hot .*\(source.decoding.temperature\)"):
        check_one_policy([*runs, hot])
    assert len(read_policies([*runs, hot])[0]) == 2
    terse = write_run(tmp_path / "terse", "a", seed=3, feedback="none")
    with pytest.raises(UsageError, match=r"protocol.format.feedback"):
        check_one_policy([terse, *runs])


def test_the_students_alone_are_refused(tmp_path: Path, write_run: WriteRun) -> None:
    with pytest.raises(UsageError, match="logged students alone"):
        read_policies([write_run(tmp_path / "a", "logged")])
