"""Tutor rewards: each term, their composition, their specs, and the leak on real verdicts."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.agents.tutors.registry import make_tutor
from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment, Course
from novicegym.dialogs.serialize import assignment_text
from novicegym.errors import UsageError
from novicegym.grading.feedback import render_feedback
from novicegym.grading.grader import Grader
from novicegym.grading.verdict import CaseResult, Verdict
from novicegym.rewards.base import WeightedReward
from novicegym.rewards.tutoring import (
    DEFAULT_TUTOR_REWARD,
    TUTOR_REWARDS,
    FollowUp,
    TutorReward,
    TutorTransition,
    follow_up,
    make_tutor_reward,
)

RIGHT = Verdict(Fraction(1), "correct")
WRONG = Verdict(Fraction(1, 4), "logical")
SAID = TutorTransition(
    message="Is `a - b` a sum?",
    message_tokens=16,
    code_before="def add(a, b):\n    return a - b\n",
    verdict_before=WRONG,
    code_after="def add(a, b):\n    return a + b\n",
    verdict_after=RIGHT,
    solutions=("def add(a, b):\n    return a + b\n",),
    prompt="Write a function add(a, b) that returns the sum of a and b.",
    step=2,
    horizon=5,
    done=True,
)


def score(spec: str, **changes: object) -> float:
    return make_tutor_reward(spec)(replace(SAID, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "changes", "value"),
    [
        ("gain", {}, 0.75),
        ("gain", {"verdict_after": Verdict(Fraction(0), "compile"), "done": False}, -0.25),
        ("gain", {"code_after": None, "verdict_after": None}, 0.0),
        ("solve", {}, 1.0),
        ("solve", {"verdict_after": WRONG}, 0.0),
        ("solve", {"verdict_after": None}, 0.0),  # she gave up
        ("solve", {"done": False}, 0.0),
        ("solve", {"step": 6}, 0.0),
        ("speed", {}, 0.8),
        ("speed", {"step": 1}, 1.0),
        ("speed", {"step": 5}, 0.2),
        ("speed", {"step": 6}, 0.0),
        ("speed", {"verdict_after": WRONG}, 0.0),
        ("cost", {}, -0.5625),
        ("cost", {"message": ""}, 0.0),
        ("cost", {"message": " \n", "message_tokens": 3}, 0.0),
        ("cost", {"message_tokens": 10_000}, -1.0),
        ("cost:32", {}, -0.75),
        ("cost:8", {"message": "four words are enough", "message_tokens": None}, -0.75),
        ("leak", {}, 0.0),
        ("leak", {"message": "Write `return a + b`."}, -0.9),  # and not where
        ("leak", {"message": SAID.solutions[0]}, -1.0),
        ("leak", {"message": SAID.solutions[0], "solutions": ()}, 0.0),
        ("retention", {}, 0.0),
        ("retention", {"retention_grade": Fraction(3, 8)}, 0.375),
        ("post_solve", {}, 0.0),
        ("post_solve", {"post_grades": (Fraction(1), Fraction(7, 8), Fraction(1), 0)}, 0.5),
        ("post_solve:1", {"post_grades": (Fraction(1), Fraction(0))}, 1.0),
    ],
    ids=str,
)
def test_each_term(spec: str, changes: dict[str, object], value: float) -> None:
    assert score(spec, **changes) == pytest.approx(value, abs=1e-12)


def test_weights_compose() -> None:
    spec = {"post_solve": 1.0, "leak": 0.75}  # r_sol + (r_ped - 1) lambda
    reward = make_tutor_reward(spec)
    given_away = replace(SAID, message=SAID.solutions[0], post_grades=(Fraction(1), Fraction(0)))
    assert reward(given_away) == 0.5 - 0.75
    assert reward.range == (-0.75, 1.0)
    assert reward.name == "1 post_solve + 0.75 leak"
    assert isinstance(reward, WeightedReward)


def test_by_default_giving_it_away_is_worse_than_silence_and_a_hint_better() -> None:
    reward = make_tutor_reward(DEFAULT_TUTOR_REWARD)
    told = reward(replace(SAID, message=SAID.solutions[0]))
    hinted = reward(SAID)
    silent = reward(replace(SAID, message="", verdict_after=WRONG, done=False))
    assert told < silent < hinted


def test_what_is_to_be_played_afterwards_is_said_by_the_reward() -> None:
    def wanted(spec: str | dict[str, float]) -> FollowUp:
        return follow_up(make_tutor_reward(spec))

    assert wanted(dict(DEFAULT_TUTOR_REWARD)).is_empty
    assert wanted("post_solve") == FollowUp(8)
    assert wanted({"post_solve:3": 1.0, "gain": 1.0, "retention": 0.5}) == FollowUp(3, True)
    assert not wanted("retention").is_empty


SPECS: list[str | dict[str, float]] = [
    *TUTOR_REWARDS,
    "cost:64",
    "post_solve:4",
    dict(DEFAULT_TUTOR_REWARD),
    {"cost:64": 0.5, "speed": 1.0},
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_tutor_reward_survives_its_spec_as_json_and_pickling(
    spec: str | dict[str, float],
) -> None:
    reward = make_tutor_reward(spec)
    assert reward.spec == spec
    assert make_tutor_reward(json.loads(json.dumps(reward.spec))) == reward
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert make_tutor_reward(reward) is reward


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gian", "unknown tutor reward 'gian'. Did you mean 'gain'"),
        ("tiered", "unknown tutor reward 'tiered'"),
        ("gain:2", "tutor reward 'gain' takes no argument, got '2'"),
        ("leak:", "takes no argument, got ''"),
        ("cost:x", "number of tokens of a message that costs most, at least 1, got 'x'"),
        ("cost:0", "got '0'"),
        ("post_solve:none", "a number of programs, at least 1, got 'none'"),
        ({}, "a tutor reward needs at least one part, got none; try {'gain': 1.0}"),
        ({"gain": float("inf")}, "the weight of tutor reward 'gain' must be finite, got inf"),
        ({"gain": "1"}, "must be a number, got '1'"),
        ({"cost": 1.0, "cost:128": 1.0}, "tutor reward 'cost' is named twice"),
        (3, "a tutor reward is a name, an object of names and weights, or a TutorReward, got 3"),
    ],
    ids=str,
)
def test_a_wrong_spec_is_a_usage_error(spec: str | dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        make_tutor_reward(spec)


def test_a_reward_of_the_users_own_is_taken_as_it_is() -> None:
    class Politeness:
        name = spec = "politeness"
        range = (0.0, 1.0)

        def __call__(self, transition: TutorTransition) -> float:
            return float("please" in transition.message)

    own: TutorReward = Politeness()
    assert make_tutor_reward(own) is own


GRADES = st.fractions(0, 1, max_denominator=20)
VERDICTS = st.builds(
    Verdict,
    GRADES,
    st.sampled_from(["logical", "runtime"]),
    st.lists(
        st.builds(
            CaseResult,
            name=st.just("test 1"),
            passed=st.just(False),
            outcome=st.just("logical"),
            call=st.text(max_size=9),
            expected=st.text(max_size=9),
        ),
        max_size=2,
    ).map(tuple),
)
CODES = st.text(max_size=30) | st.sampled_from(["x = 1", "def f(a): return a", "", *SAID.solutions])


@given(
    st.builds(
        TutorTransition,
        message=CODES,
        message_tokens=st.none() | st.integers(0),
        code_before=CODES,
        verdict_before=VERDICTS,
        code_after=st.none() | CODES,
        verdict_after=st.none() | VERDICTS | st.just(RIGHT),
        solutions=st.lists(CODES, max_size=2).map(tuple),
        prompt=st.text(max_size=20),
        step=st.integers(1, 7),
        horizon=st.integers(1, 7),
        done=st.booleans(),
        retention_grade=st.none() | GRADES,
        post_grades=st.lists(GRADES, max_size=3).map(tuple),
    )
)
def test_every_value_is_in_its_range(transition: TutorTransition) -> None:
    for spec in SPECS:
        reward = make_tutor_reward(spec)
        low, high = reward.range
        assert low - 1e-12 <= reward(transition) <= high + 1e-12


def test_the_feedback_of_the_grader_is_never_a_leak(small_course: Course, grader: Grader) -> None:
    """Also where the program prints a line of the solution, and a test shows one."""
    printing = "n = 1\nprint('print(2 * n)')\nprint('n = int(input())')\n"
    double: Assignment = small_course.assignments["double"]
    [verdict] = grader.grade_batch([(double, printing)])
    transition = replace(
        SAID, code_before=printing, verdict_before=verdict, solutions=double.solutions, prompt=""
    )
    leak = make_tutor_reward("leak")
    told = render_feedback(verdict, "full")
    assert "print(2 * n)" in told
    assert leak(replace(transition, message=told)) == 0.0
    assert leak(replace(transition, message=f"```\n{told}\n```")) == 0.0
    assert leak(replace(transition, message=double.solutions[0], verdict_before=WRONG)) == -1.0


def test_the_feedback_tutor_leaks_nothing_whatever_a_program_prints(grader: Grader) -> None:
    """Solutions' own lines, with quotes, cut, in errors, and among more than can be read."""
    course = load_course("cs1")
    tutor = make_tutor("feedback", course, grader=grader)
    leak = make_tutor_reward("leak")
    printed = ["while left > 0: left -= 1", "  a = 1; if b: c = a"]
    noise = "".join(f"print('a{n} = b({n}) if c[{n}] d {n}= [e(')\n" for n in range(60))
    tried = 0
    for assignment in list(course.assignments.values())[::3]:
        solution = assignment.solutions[0]
        rows = [row.strip() for row in solution.split("\n") if len(row.strip()) > 6]
        lines = printed + rows[:3] + [row for row in rows if '"' in row][:2]
        lines += [f"{line} and then {rows[-1]}, {rows[0]}: {line}" for line in lines[-1:]]
        codes = [f"print({line!r})\n" for line in lines]
        codes += [f"{noise}print({line!r})\n{noise}" for line in lines[-2:]]
        codes += [f"print({'; '.join(rows[:6])!r})"]
        codes += [f"raise ValueError({line!r})" for line in lines[:3]]
        name = assignment.entry_point
        codes += [f"def {name}(*_):\n    return {line!r}\n" for line in lines if name]
        verdicts = grader.grade_batch([(assignment, code) for code in codes])
        states = [
            {"assignment_id": assignment.id, "code": code, "outcome": verdict.outcome}
            for code, verdict in zip(codes, verdicts, strict=True)
        ]
        said = tutor.act([[]] * len(states), states)
        for code, verdict, message in zip(codes, verdicts, said, strict=True):
            told = replace(
                SAID,
                message=message,
                code_before="x = 1",  # of the program nothing is known but what it does
                verdict_before=verdict,
                solutions=assignment.solutions,
                prompt=assignment_text(assignment),
            )
            assert leak(told) == leak(replace(told, code_before=code)) == 0.0, message
            full = replace(told, message=render_feedback(verdict, "full"))
            assert leak(full) == 0.0, full.message
            tried += bool(message)
    assert tried > 50
