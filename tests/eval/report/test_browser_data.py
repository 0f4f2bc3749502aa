"""The episodes that a report embeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite
from novicegym.errors import UsageError
from novicegym.eval.report.browser import LONGEST, browser_data
from novicegym.eval.report.policies import read_policies
from novicegym.grading.feedback import render_feedback
from novicegym.grading.verdict import CaseResult, Verdict

WriteRun: TypeAlias = Callable[..., Path]

CODE, GRADE, OUTCOME, BITS, FEEDBACK = range(5)


def test_every_start_has_every_policy_but_the_students(made: Any) -> None:
    data = made.browser
    assert data["policies"] == [one.name for one in made.policies if not one.is_students]
    assert len(data["starts"]) == 20
    for start in data["starts"]:
        assert [len(steps) for steps in start["played"]] == [len(start["logged"])] * 3


def test_turns_are_those_of_the_records(made: Any) -> None:
    data = made.browser
    rows = {
        (r["student_id"], r["assignment_id"], r["position"], r["step"]): r
        for r in made.policies[1].tables[0].to_pylist()
    }
    for start in data["starts"]:
        for step, (logged, played) in enumerate(
            zip(start["logged"], start["played"][0], strict=True), start=1
        ):
            row = rows[start["student"], start["assignment"], start["position"], step]
            assert data["programs"][logged[CODE]] == row["logged_code"]
            assert logged[OUTCOME] == row["logged_outcome"]
            if row["generated_code"] is None:
                assert played is None
            else:
                assert data["programs"][played[CODE]] == row["generated_code"]
                assert played[BITS] == row["case_bits"]


def test_the_feedback_is_the_graders_summary(made: Any) -> None:
    verdict = Verdict(
        Fraction(1, 4), "logical", tuple(CaseResult("", bit == "1", "logical") for bit in "1000")
    )
    turns = [turn for start in made.browser["starts"] for turn in start["logged"]]
    [feedback] = {turn[FEEDBACK] for turn in turns if turn[BITS] == "1000"}
    assert made.browser["feedback"][feedback] == render_feedback(verdict, "summary")
    assert {turn[GRADE] for turn in turns if turn[BITS] == "1000"} == {"25"}


def test_a_start_has_the_state_before_it_where_an_earlier_one_aims_at_it(made: Any) -> None:
    data = browser_data(made.policies, episodes=1000)
    assert len(data["starts"]) == data["of"] == made.report.episodes
    for start in data["starts"]:
        if start["position"] == 3:
            assert start["before"] is None
        else:
            [earlier] = [
                one
                for one in data["starts"]
                if (one["student"], one["assignment"]) == (start["student"], start["assignment"])
                and one["position"] == 3
            ]
            assert start["before"] == earlier["logged"][start["position"] - 4]


def test_trajectories_come_before_further_starts_of_one(made: Any) -> None:
    trajectories = made.report.trajectories
    data = browser_data(made.policies, episodes=trajectories)
    assert len({(s["student"], s["assignment"]) for s in data["starts"]}) == trajectories
    assert {s["position"] for s in data["starts"]} == {3}


def test_the_seed_says_which(made: Any) -> None:
    several = [json.dumps(browser_data(made.policies, episodes=5, seed=seed)) for seed in (0, 0, 1)]
    assert several[0] == several[1] != several[2]


def test_a_giant_program_is_cut_and_says_so(tmp_path: Path, write_run: WriteRun) -> None:
    giant = "x = 1\n" * LONGEST
    policies, _ = read_policies([write_run(tmp_path / "a", "a", logged_code=giant)])
    data = browser_data(policies, episodes=1)
    [program] = [one for one in data["programs"] if one.startswith("x = 1\nx = 1\n")]
    assert len(program) < LONGEST + 100
    assert program.endswith(f"[cut: {len(giant):,} characters]")


def test_the_course_adds_prompts_and_tests(made: Any) -> None:
    suite = TestSuite(cases=(CallCase("f(1)", 2, name="one"), IOCase("1\n", "2\n")))
    double = Assignment(id="constructor", title="Twice", prompt="Double it.", tests=suite)
    data = browser_data(made.policies, episodes=20, assignments={"constructor": double})
    assert data["assignments"] == {
        "constructor": {
            "title": "Twice",
            "prompt": "Double it.",
            "tests": ["one: f(1) gives 2", "input '1\\n' gives output '2\\n'"],
        }
    }
    assert made.browser["assignments"] == {}
    with pytest.raises(UsageError, match="none of the assignments that were played"):
        browser_data(made.policies, assignments={"other": double})


def test_no_episode_is_no_browser(made: Any) -> None:
    with pytest.raises(UsageError, match="episodes must be at least 1, got 0"):
        browser_data(made.policies, episodes=0)
