from __future__ import annotations

import json
import pickle
from fractions import Fraction
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import novicegym  # noqa: F401  (registers the environments)
from novicegym.courses.load import load_course
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import DialogFormat, assistant_message
from novicegym.envs.starts import all_starts, sample_start
from novicegym.envs.student import StudentEnv
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader

ANN = {"trajectory": ("ann", "add"), "position": 2}


def say(code: str) -> str:
    return assistant_message(code, None, DialogFormat())["content"]


@pytest.fixture
def env(small_course: Course, grader: Grader) -> StudentEnv:
    return StudentEnv(small_course, grader=grader)


def test_check_env_has_nothing_to_say(small_course: Course) -> None:
    """Warnings are errors here, so any complaint of the checker fails."""
    env = gym.make("FalconCodeStudent-v0", course=small_course)
    check_env(env.unwrapped)


def test_check_env_passes_on_the_embedded_course() -> None:
    check_env(gym.make("FalconCodeStudent-v0").unwrapped)


def test_reset_loads_the_logged_prefix(env: StudentEnv) -> None:
    dialog, info = env.reset(options=ANN)
    assert [message["role"] for message in dialog] == [
        "system", "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip
    assert "add(a, b)" in dialog[1]["content"]
    assert "return a - b" in dialog[4]["content"]
    assert (info["student_id"], info["position"], info["step"]) == ("ann", 2, 0)
    assert info["grade_exact"] == "1/4"


def test_info_holds_no_target_unless_revealed(small_course: Course, grader: Grader) -> None:
    for reveal in (False, True):
        env = StudentEnv(small_course, grader=grader, reveal=reveal)
        _, info = env.reset(options=ANN)
        _, _, _, _, after = env.step(say("x"))
        assert ("target_code" in info) is reveal
        assert ("return a * b" in json.dumps(info)) is reveal
        assert ("print(a + b)" in json.dumps(after)) is reveal


def test_logged_actions_reproduce_the_logged_verdicts(small_course: Course, grader: Grader) -> None:
    env = StudentEnv(small_course, grader=grader, horizon=100)
    for index, trajectory in enumerate(small_course.trajectories):
        assignment = small_course.assignment(trajectory.assignment_id)
        env.reset(options={"trajectory": index})
        for submission in trajectory.submissions:
            _, reward, terminated, truncated, info = env.step(say(submission.code))
            verdict = grader.grade(assignment, submission.code)
            assert Fraction(info["grade_exact"]) == verdict.grade
            assert info["outcome"] == verdict.outcome
            assert reward == 2
        assert terminated or truncated


def test_replayed_students_of_the_embedded_course_get_their_logged_grades(
    grader: Grader,
) -> None:
    course = load_course("cs1")
    env = StudentEnv(course, grader=grader, horizon=100)
    for index in range(0, len(course.trajectories), 60):
        env.reset(options={"trajectory": index})
        for submission in course.trajectories[index].submissions:
            *_, info = env.step(say(submission.code))
            assert info["code"] == submission.code
            assert info["grade"] == submission.logged_grade
        assert info["stop"] in ("correct", "logged_end")


def test_correct_submission_terminates(env: StudentEnv) -> None:
    env.reset(options=ANN)
    _, _, terminated, truncated, info = env.step(say("def add(a, b): return a + b"))
    assert (terminated, truncated, info["stop"]) == (True, False, "correct")
    with pytest.raises(UsageError, match="reset"):
        env.step("x")


def test_last_logged_submission_truncates(env: StudentEnv) -> None:
    env.reset(options={"trajectory": ("ann", "add"), "position": 4})
    _, _, terminated, truncated, info = env.step("def add(")
    assert (terminated, truncated, info["stop"]) == (False, True, "logged_end")


def test_horizon_truncates(small_course: Course, grader: Grader) -> None:
    env = StudentEnv(small_course, grader=grader, horizon=2)
    env.reset(options={"trajectory": 0, "position": 1})
    assert env.step("a")[3] is False
    assert env.step("b")[3] is True


def test_exit_ends_the_episode_only_when_asked(small_course: Course, grader: Grader) -> None:
    env = StudentEnv(small_course, grader=grader)
    env.reset(options=ANN)
    assert env.step(say("exit()"))[2] is False
    env = StudentEnv(small_course, grader=grader, exit_ends_episode=True)
    env.reset(options=ANN)
    dialog, reward, terminated, _, info = env.step(say("exit()"))
    assert (terminated, reward, info["stop"]) == (True, 0.0, "exit")
    assert dialog[-1]["role"] == "assistant"


def test_free_play_needs_no_logged_student(small_course: Course, grader: Grader) -> None:
    course = Course("empty", small_course.assignments)
    env = StudentEnv(course, grader=grader, horizon=3)
    with pytest.raises(UsageError, match="free play"):
        env.reset()
    dialog, info = env.reset(options={"assignment": "double", "student": "me"})
    assert (len(dialog), info["student_id"]) == (2, "me")
    assert env.step("not python(")[1] == -1
    assert env.step("print(1)")[1] == 0
    assert env.step("print(1)")[3] is True


@settings(max_examples=60, deadline=None)
@given(action=st.text(st.characters(), max_size=200))
def test_arbitrary_text_never_raises(small_course: Course, grader: Grader, action: str) -> None:
    env = StudentEnv(small_course, grader=grader)
    env.reset(options=ANN)
    dialog, reward, *_ = env.step(action)
    assert dialog in env.observation_space
    assert reward in (-1, 0, 1, 2)


@pytest.mark.parametrize("action", [None, 3, b"x = 1", ["x = 1"]])
def test_action_that_is_no_text_is_refused(env: StudentEnv, action: Any) -> None:
    env.reset(options=ANN)
    with pytest.raises(UsageError, match="an action is text"):
        env.step(action)


def test_returned_dialogs_are_fresh(env: StudentEnv) -> None:
    first, _ = env.reset(options=ANN)
    first[0]["content"] = "changed"
    first.clear()
    again = env.step("x")[0]
    assert len(again) == 8
    assert again[0]["content"] != "changed"


def test_pickled_env_goes_on_as_the_original() -> None:
    env = StudentEnv("cs1")
    env.reset(seed=3)
    copy = pickle.loads(pickle.dumps(env))
    assert copy.step("x = 1") == env.step("x = 1")
    assert copy.reset() == env.reset()


def test_spec_round_trips_through_json() -> None:
    env = gym.make(
        "FalconCodeStudent-v0", reward={"tiered": 1.0, "grade_proximity": 0.5}, horizon=3
    )
    assert env.spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    first: Any = env.reset(seed=5)
    assert again.reset(seed=5) == first
    assert again.step("x") == env.step("x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trajectory": 99}, "0 to 3"),
        ({"trajectory": ("zoe", "add")}, "zoe"),
        ({"trajectory": 0, "position": 5}, "0 to 4"),
        ({"assignment": "ad"}, "Did you mean 'add'"),
        ({"assignment": "add", "position": 1}, "free play"),
        ({"position": 1}, "trajectory"),
        ({"student_id": "ann"}, "student_id"),
        ({"trajectory": "ann"}, "index or"),
        ({"trajectory": 0, "position": 1.5}, "got 1.5"),
        ({"trajectory": 0, "assignment": "double"}, "drop it"),
    ],
)
def test_wrong_reset_options_say_what_exists(
    env: StudentEnv, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        env.reset(options=options)


def test_unknown_render_mode_is_named(small_course: Course) -> None:
    with pytest.raises(UsageError, match="rgb"):
        StudentEnv(small_course, render_mode="rgb")


def test_sampled_starts_leave_two_steps_where_the_course_allows(small_course: Course) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    for _ in range(50):
        start = sample_start(small_course, rng)
        assert start.trajectory is not None
        assert 1 <= start.position <= len(start.trajectory.submissions) - 2


def test_all_starts_are_the_positions_with_a_next_submission(small_course: Course) -> None:
    starts = all_starts(small_course, small_course.trajectories[0], 3)
    assert [start.position for start in starts] == [3, 4]
