"""Both chairs at once: PettingZoo's checks, and who speaks when."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, assistant_message
from novicegym.dialogs.tutoring import split_message
from novicegym.envs import tutoring_v0
from novicegym.envs.student import StudentEnv
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader

pytest.importorskip("pettingzoo", reason="the tutor extra is not installed")
from pettingzoo.test import (
    api_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
)

ANN = {"trajectory": ("ann", "add"), "position": 2}
RIGHT = "def add(a, b):\n    return a + b"

# PettingZoo expects numbers; here observations and actions are texts, as language models take
# them, and no array stands for them. Nothing else it warns of is let through.
ABOUT_TEXT = (
    "Observation is not a NumPy array",
    "Observation space for each agent probably should be gymnasium.spaces.box or "
    "gymnasium.spaces.discrete",
    "Action space for each agent probably should be gymnasium.spaces.box or "
    "gymnasium.spaces.discrete",
)


@pytest.fixture
def make(small_course: Course, grader: Grader) -> Callable[..., Any]:
    def make(**kwargs: Any) -> Any:
        return tutoring_v0.env(course=small_course, grader=grader, tutor_reward="gain", **kwargs)

    return make


@pytest.mark.parametrize("reward", ["retention", {"gain": 1.0, "post_solve:2": 1.0}])
def test_rewards_of_submissions_that_nobody_makes_are_refused(
    small_course: Course, reward: Any
) -> None:
    with pytest.raises(UsageError, match="here nobody knows who makes them"):
        tutoring_v0.env(course=small_course, tutor_reward=reward)


@pytest.mark.parametrize("course", ["small", "cs1"])
def test_api_test_complains_of_nothing_but_text(make: Callable[..., Any], course: str) -> None:
    with warnings.catch_warnings():
        for message in ABOUT_TEXT:
            warnings.filterwarnings("ignore", re.escape(message) + "$", UserWarning)
        api_test(make() if course == "small" else tutoring_v0.env(), num_cycles=50)


def test_api_test_does_complain_of_text(make: Callable[..., Any]) -> None:
    """The list above holds nothing that could be left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        api_test(make(), num_cycles=50)
    assert {str(warning.message) for warning in caught} == set(ABOUT_TEXT)


def test_seed_test(make: Callable[..., Any]) -> None:
    seed_test(make, num_cycles=20)


def test_render_test(make: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    render_test(make, {"html": lambda page: page.startswith("<!doctype html>")})
    assert "Submission 1" in capsys.readouterr().out


def test_the_parallel_form(small_course: Course, grader: Grader) -> None:
    def make() -> Any:
        return tutoring_v0.parallel_env(course=small_course, grader=grader, tutor_reward="gain")

    parallel_api_test(make(), num_cycles=50)
    parallel_seed_test(make, num_cycles=20)


def test_the_parallel_form_uses_the_action_of_the_one_whose_turn_it_is(
    small_course: Course, grader: Grader
) -> None:
    env = tutoring_v0.parallel_env(course=small_course, grader=grader, tutor_reward="gain")
    observations, _ = env.reset(options=ANN)
    assert set(observations) == {"student_0", "tutor_0"}
    actions = {"student_0": RIGHT, "tutor_0": "Think."}
    observations, rewards, terminated, _, infos = env.step(actions)
    assert infos["tutor_0"]["active_agent"] == "student_0"
    assert split_message(observations["student_0"]["dialog"][-1]["content"])[1] == "Think."
    assert not any(terminated.values())
    assert rewards == {"student_0": 0, "tutor_0": 0}
    _, rewards, terminated, _, _ = env.step(actions)
    assert all(terminated.values())
    assert rewards == {"student_0": 0, "tutor_0": 0.75}  # not what ann did, but right
    assert env.agents == []


def test_turns_alternate_and_both_end_together(make: Callable[..., Any]) -> None:
    env = make(horizon=2)
    env.reset(options=ANN)
    turns = []
    for agent in env.agent_iter():
        observation, _, terminated, truncated, info = env.last()
        turns.append((agent, terminated or truncated))
        assert observation["dialog"][-1]["role"] == "user"
        env.step(None if terminated or truncated else "x = 1")
    assert turns == [
        ("tutor_0", False),
        ("student_0", False),
        ("tutor_0", False),
        ("student_0", False),
        ("tutor_0", True),
        ("student_0", True),
    ]
    assert info["stop"] == "horizon"
    assert env.agents == []


def test_without_a_log_the_student_is_first(make: Callable[..., Any]) -> None:
    env = make()
    env.reset(options={"assignment": "add"})
    assert env.agent_selection == "student_0"
    assert len(env.observe("tutor_0")["dialog"]) == 2
    env.step(RIGHT)
    assert env.agent_selection == "tutor_0"
    assert env.terminations == {"student_0": True, "tutor_0": True}
    assert env.rewards == {"student_0": 0, "tutor_0": 0}  # nothing had been said


def test_each_earns_by_its_own_reward_when_the_submission_follows(
    make: Callable[..., Any],
) -> None:
    env = make()
    env.reset(options=ANN)
    env.step("What does the minus do?")
    assert env.rewards == {"student_0": 0, "tutor_0": 0}
    assert env.infos["student_0"]["tutor_message"] == "What does the minus do?"
    env.step("def add(a, b):\n    return a * b")
    assert env.rewards == {"student_0": 2, "tutor_0": 0}  # as ann did
    env.step("And what should it be?")
    env.step("def add(a, b):\n    return abs(a) + b")
    assert env.rewards["tutor_0"] == env.last()[1] == 0.5


class Recorded:
    """A tutor that says what was said."""

    name = "recorded"

    def __init__(self, said: list[str]) -> None:
        self.said = iter(said)

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        return [next(self.said) for _ in dialogs]


@pytest.mark.parametrize("options", [ANN, {"assignment": "add"}])
def test_it_plays_the_episode_of_the_student_environment(
    small_course: Course, grader: Grader, make: Callable[..., Any], options: dict[str, Any]
) -> None:
    said = ["Look.", "", "```tutor\nx\n```", " \n", "Again."]
    codes = [f"def add(a, b):\n    return {number}" for number in range(5)]
    single = StudentEnv(small_course, grader=grader, tutor=Recorded(said), past_log=True)
    both = make(past_log=True)
    dialog, info = single.reset(options=options)
    both.reset(options=options)
    messages = iter(said)
    for code in codes:
        if both.agent_selection == "tutor_0":
            both.step(next(messages))
        assert both.observe("student_0") == {"dialog": dialog}
        assert both.infos["student_0"] == info
        submission = assistant_message(code, None, DialogFormat())["content"]
        dialog, reward, terminated, truncated, info = single.step(submission)
        both.step(submission)
        assert both.rewards["student_0"] == reward
        assert both.terminations["student_0"] is terminated
        assert both.truncations["student_0"] is truncated
    assert truncated


def test_a_pickled_environment_goes_on_as_the_original() -> None:
    env = tutoring_v0.env()
    env.reset(seed=3)
    copy = pickle.loads(pickle.dumps(env))
    for one in (env, copy):
        one.step("Look at line 1.")
        one.step("x = 1")
    assert copy.last() == env.last()
    assert copy.observe("student_0") == env.observe("student_0")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda env: env.step(3), "an action is text, got int"),
        (lambda env: env.step(None), "an action is text, got NoneType"),
        (lambda env: env.render(), "render_mode='ansi'"),
        (lambda env: env.reset(options={"trajectry": 0}), "trajectry"),
        (lambda env: env.reset(options={"options": 2}), "options"),
        (lambda env: env.reset(options={"options": 1, **ANN}), "options"),
    ],
)
def test_wrong_calls_are_named(make: Callable[..., Any], call: Any, message: str) -> None:
    env = make()
    env.reset(options=ANN)
    with pytest.raises(UsageError, match=message):
        call(env)


def test_unknown_render_mode_is_named(make: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="rgb_array"):
        make(render_mode="rgb_array")


def test_without_pettingzoo_the_error_says_how_to_install_it() -> None:
    code = (
        "import sys\n"
        "sys.modules['pettingzoo'] = None\n"
        "from novicegym.envs import tutoring_v0\n"
        "for make in (tutoring_v0.env, tutoring_v0.raw_env, tutoring_v0.parallel_env):\n"
        "    try: make()\n"
        "    except Exception as error: print(type(error).__name__, error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = "UsageError tutoring_v0 needs pettingzoo: pip install 'novicegym[tutor]'"
    assert out.stdout.splitlines() == [expected] * 3
