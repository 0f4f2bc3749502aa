from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import pytest

from novicegym.courses.model import Course
from novicegym.envs.student import StudentEnv
from novicegym.envs.wrappers import FeedbackDetail, TokenWindow
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader

START = {"trajectory": ("ann", "add"), "position": 4}


def words(text: str) -> int:
    return 3 + len(text.split())


@pytest.fixture
def env(small_course: Course, grader: Grader) -> StudentEnv:
    return StudentEnv(small_course, grader=grader)


def test_token_window_drops_the_oldest_submissions_first(env: StudentEnv) -> None:
    whole, _ = env.reset(options=START)
    size = sum(words(message["content"]) for message in whole) + 2
    assert TokenWindow(env, budget=size).reset(options=START)[0] == whole
    assert TokenWindow(env, budget=size - 1).reset(options=START)[0] == whole[:2] + whole[4:]
    reserved = TokenWindow(env, budget=size, reserve=1)
    assert reserved.reset(options=START)[0] == whole[:2] + whole[4:]


def test_token_window_that_cannot_hold_the_prompt_names_the_assignment(env: StudentEnv) -> None:
    with pytest.raises(UsageError, match="'add'"):
        TokenWindow(env, budget=4).reset(options=START)


def test_unknown_counter_is_named(env: StudentEnv) -> None:
    with pytest.raises(UsageError, match="letters"):
        TokenWindow(env, budget=100, counter="letters")


def test_feedback_detail_changes_only_the_feedback(env: StudentEnv) -> None:
    whole, _ = env.reset(options=START)
    silent, _ = FeedbackDetail(env, "none").reset(options=START)
    changed = [i for i, (a, b) in enumerate(zip(whole, silent, strict=True)) if a != b]
    assert [silent[i]["role"] for i in changed if i > 1] == ["user"] * 4
    assert len({silent[i]["content"] for i in changed if i > 1}) == 1


def test_wrapped_spec_round_trips_through_json() -> None:
    env = TokenWindow(FeedbackDetail(gym.make("FalconCodeStudent-v0"), "grade"), budget=900)
    assert env.spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.reset(seed=2) == env.reset(seed=2)


def test_a_tutors_message_stays_at_every_level_of_feedback(
    small_course: Course, grader: Grader
) -> None:
    class Tutor:
        name = "test"

        def act(self, dialogs: Sequence[object], infos: object) -> list[str]:
            return ["Look at line 2."] * len(dialogs)

    env = FeedbackDetail(StudentEnv(small_course, grader=grader, tutor=Tutor()), "none")
    dialog, _ = env.reset(options=START)
    assert dialog[-1]["content"] == "Submitted.\n\n```tutor\nLook at line 2.\n```"
