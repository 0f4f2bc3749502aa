"""The tutor's chair: `FalconCodeTutor-v0`."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import novicegym  # noqa: F401
from novicegym.agents.novice import NoviceAgent
from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.dialogs.serialize import Dialog
from novicegym.dialogs.tutoring import split_message
from novicegym.envs.episode import Start
from novicegym.envs.student import StudentEnv
from novicegym.envs.tutor import TutorEnv, tutor_transition
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader

ANN = {"trajectory": ("ann", "add"), "position": 2}
RIGHT = "def add(a, b):\n    return a + b"


class Obedient:
    """Submits what the tutor says, as it is; without a message its number of submissions."""

    name = "obedient"

    def __init__(self, course: Course | None = None) -> None:
        self.read: list[Dialog] = []

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        self.read += dialogs
        return [
            split_message(dialog[-1]["content"])[1] or f"x = {info['step']}"
            for dialog, info in zip(dialogs, infos, strict=True)
        ]


@pytest.fixture
def env(small_course: Course, grader: Grader) -> TutorEnv:
    return TutorEnv(small_course, student=Obedient(), grader=grader, reward="gain")


def test_check_env_has_nothing_to_say(small_course: Course) -> None:
    env = gym.make("FalconCodeTutor-v0", course=small_course, student=Obedient)
    check_env(env.unwrapped)


def test_it_is_made_by_its_name_alone_with_the_simulated_beginner() -> None:
    env = gym.make("FalconCodeTutor-v0")
    check_env(env.unwrapped)
    assert env.spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    first: Any = env.reset(seed=5)
    assert again.reset(seed=5) == first
    assert again.step("Look at line 1.") == env.step("Look at line 1.")


def test_a_student_has_other_luck_in_each_episode_and_the_same_by_seed() -> None:
    course = load_course("cs1")
    log = next(log for log in course.trajectories if len(log.submissions) > 3)
    start = {"trajectory": (log.student_id, log.assignment_id), "position": 1}
    env, other = (
        TutorEnv("cs1"),
        TutorEnv("cs1", student=lambda course: NoviceAgent(course, seed=9)),
    )

    def submissions(env: TutorEnv, seed: int | None) -> tuple[str, ...]:
        env.reset(seed=seed, options=start)
        codes = []
        while not env.episode.stop:
            env.step("")
            codes.append(env.episode.turns[-1][0])
        return tuple(codes)

    passes = [submissions(env, seed) for seed in (3, None, None, None)]
    assert len(set(passes)) > 1
    assert [submissions(env, seed) for seed in (3, None, None, None)] == passes
    assert submissions(other, 3) == passes[0]


def test_the_tutor_reads_the_log_and_the_student_the_message(env: TutorEnv) -> None:
    dialog, info = env.reset(options=ANN)
    assert [message["role"] for message in dialog] == ["system", "user"]
    assert "return a - b" in dialog[1]["content"]
    assert (info["position"], info["step"], info["tutor_message"]) == (2, 0, "")
    dialog, reward, terminated, truncated, info = env.step(
        " def add(a, b):\n    return abs(a) + b \n"
    )
    assert [message["role"] for message in dialog] == ["system", "user", "assistant", "user"]
    assert dialog[2]["content"] == "def add(a, b):\n    return abs(a) + b"
    assert "Submission 3:\n```python\ndef add(a, b):\n    return abs(a)" in dialog[3]["content"]
    assert (reward, terminated, truncated) == (0.5, False, False)  # from 1 of 4 cases to 3
    assert (info["step"], info["tutor_message"]) == (1, "")
    _, reward, terminated, truncated, info = env.step(RIGHT)
    assert (reward, terminated, truncated, info["stop"]) == (0.25, True, False, "correct")
    with pytest.raises(UsageError, match="reset"):
        env.step("again")


def test_the_student_plays_the_episode_that_the_student_environment_shows(
    small_course: Course, grader: Grader
) -> None:
    said = ["Look at line 2.", "", "def add(a, b): return 0"]

    class Recorded:
        name = "recorded"

        def act(self, dialogs: Sequence[Dialog], infos: object) -> list[str]:
            return [said[(len(dialog) - 2) // 2] for dialog in dialogs]

    student = Obedient()
    chair = TutorEnv(small_course, student=student, grader=grader)
    other = StudentEnv(small_course, tutor=Recorded(), grader=grader)
    chair.reset(options=ANN)
    seen = [other.reset(options=ANN)[0]]
    for message in said:
        *_, info = chair.step(message)
        last = split_message(seen[-1][-1]["content"])[1] or f"x = {info['step'] - 1}"
        seen.append(other.step(last)[0])
    assert seen[: len(said)] == student.read


def test_without_a_log_the_student_submits_first(env: TutorEnv) -> None:
    dialog, info = env.reset(options={"assignment": "add"})
    assert "Submission 1:\n```python\nx = 0\n```" in dialog[1]["content"]
    assert (len(dialog), info["step"]) == (2, 1)
    dialog, *_ = env.step("x = 3")
    assert dialog[2] == {"role": "assistant", "content": "x = 3"}


def test_a_student_who_is_right_at_once_ends_the_episode_at_the_first_step(
    small_course: Course, grader: Grader
) -> None:
    class Right(Obedient):
        def act(self, dialogs: Any, infos: Any) -> list[str]:
            return [RIGHT]

    env = TutorEnv(small_course, student=Right, grader=grader)
    dialog, info = env.reset(options={"trajectory": ("ann", "add"), "position": 0})
    assert info["stop"] == "correct"
    assert env.step("Well done.") == (dialog, 0.0, True, False, info)
    with pytest.raises(UsageError, match="reset"):
        env.step("Bye.")
    env.reset(options=ANN)
    assert env.step("")[2] is True


def test_giving_up_and_the_end_of_the_log_end_it_too(small_course: Course, grader: Grader) -> None:
    env = TutorEnv(small_course, student=Obedient(), grader=grader, exit_ends_episode=True)
    env.reset(options=ANN)
    dialog, _, terminated, truncated, info = env.step("exit()")
    assert (terminated, truncated, info["stop"]) == (True, False, "exit")
    assert dialog[-1]["content"] == "Submission 3:\n```python\nexit()\n```"
    for past_log, ends in ((False, True), (True, False)):
        env = TutorEnv(small_course, student=Obedient(), grader=grader, past_log=past_log)
        env.reset(options={"trajectory": ("ann", "add"), "position": 4})
        assert env.step("")[3] is ends


def test_the_reward_knows_the_exchange(env: TutorEnv, small_course: Course) -> None:
    env.reset(options=ANN)
    env.step("x = 1")
    transition = tutor_transition(env.episode, env.known)
    assert transition.message == transition.code_after == "x = 1"
    assert transition.code_before == small_course.trajectories[0].submissions[1].code
    assert transition.verdict_before.grade == Fraction(1, 4)
    assert transition.verdict_after is not None
    assert transition.verdict_after.grade == 0
    assert transition.solutions[:1] == small_course.assignment("add").solutions
    assert "def add(a, b):\n    return b + a\n" in transition.solutions
    assert "add(a, b)" in transition.prompt
    assert (transition.step, transition.horizon, transition.done) == (1, 5, False)


def test_correct_programs_are_those_of_others_and_never_the_students_own(
    small_course: Course, grader: Grader
) -> None:
    add = small_course.assignment("add")
    bare = Assignment("add", add.title, add.prompt, add.tests, add.entry_point)
    own, other = "def add(a, b):\n    return sum([a, b])", "def add(x, y):\n    return -(-x - y)"
    logs = tuple(
        # The grade in the log is not believed.
        Trajectory(student, "add", None, (Submission("x"), Submission(code, None, grade)))
        for student, code, grade in (
            ("ann", own, 1.0),
            ("ben", other, None),
            ("cem", "def add(a, b):\n    return a", 1.0),
        )
    )
    env = TutorEnv(
        Course("bare", {"add": bare}, logs), student=Obedient(), grader=grader, reward="leak"
    )
    # Her own is known where it is shown: to show it is to give a correct program away.
    for message, leaked, solutions in (
        (own, -1.0, (other, own)),
        (other, -1.0, (other, other)),
        ("Look again.", 0.0, (other,)),
    ):
        env.reset(options={"trajectory": ("ann", "add"), "position": 1})
        assert env.episode.start == Start.at(env.course, logs[0], 1)
        reward = env.step(f"```python\n{message}\n```")[1]
        found = tutor_transition(env.episode, env.known).solutions
        assert tuple(code.strip() for code in found) == solutions
        assert reward == leaked


@settings(max_examples=40, deadline=None)
@given(message=st.text(st.characters(), max_size=200))
def test_any_text_is_a_message(small_course: Course, grader: Grader, message: str) -> None:
    env = TutorEnv(small_course, student=Obedient(), grader=grader)
    env.reset(options=ANN)
    dialog, *_ = env.step(message)
    assert dialog in env.observation_space
    assert dialog[2] == {"role": "assistant", "content": message.strip()}


@pytest.mark.parametrize("action", [None, 3, b"hint", ["hint"]])
def test_action_that_is_no_text_is_refused(env: TutorEnv, action: Any) -> None:
    env.reset(options=ANN)
    with pytest.raises(UsageError, match="an action is text"):
        env.step(action)


def test_calls_before_reset_say_so(env: TutorEnv) -> None:
    with pytest.raises(UsageError, match="call reset"):
        env.step("hint")


@pytest.mark.parametrize("name", ["novice", "hf:runs/sft"])
def test_a_student_of_ours_is_not_made_by_name_and_the_error_says_how(name: str) -> None:
    with pytest.raises(UsageError, match=r"agents\.registry\.make_agent\(NAME, course\)"):
        TutorEnv(student=name)


def test_a_function_can_be_the_reward(small_course: Course, grader: Grader) -> None:
    def paid(transition: Any) -> float:
        return float(len(transition.message))

    env = TutorEnv(small_course, student=Obedient(), grader=grader, reward=paid)  # type: ignore[arg-type]
    env.reset(options=ANN)
    assert env.step("hint")[1] == 4.0


def test_a_student_that_cannot_hear_is_refused(small_course: Course) -> None:
    class Deaf(Obedient):
        name = "deaf"
        listens = False

    with pytest.raises(UsageError, match="'deaf' does not listen"):
        TutorEnv(small_course, student=Deaf)


def test_a_student_that_returns_no_list_is_the_callers_mistake(
    small_course: Course, grader: Grader
) -> None:
    class Wrong(Obedient):
        def act(self, dialogs: Any, infos: Any) -> Any:
            return "x = 1"

    env = TutorEnv(small_course, student=Wrong, grader=grader)
    env.reset(options=ANN)
    with pytest.raises(UsageError, match="list of one completion per dialog"):
        env.step("")


def test_a_pickled_environment_goes_on_as_the_original() -> None:
    env = TutorEnv("cs1")
    env.reset(seed=3)
    copy = pickle.loads(pickle.dumps(env))
    assert copy.step("Look at line 2.") == env.step("Look at line 2.")
    assert copy.reset() == env.reset()


@pytest.mark.parametrize("mode", ["ansi", "html"])
def test_render_shows_what_was_said(small_course: Course, grader: Grader, mode: str) -> None:
    env = TutorEnv(small_course, student=Obedient(), grader=grader, render_mode=mode)
    env.reset(options=ANN)
    env.step("x = 77")
    picture = env.render()
    assert picture is not None
    assert picture.count("x = 77") == 2
