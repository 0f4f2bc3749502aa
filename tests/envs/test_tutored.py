"""A tutor beside the autograder: what it says, and what becomes of one that fails."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import novicegym  # noqa: F401
from novicegym.agents.persistence import PersistenceAgent
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, parse_dialog
from novicegym.dialogs.tutoring import split_message
from novicegym.envs.episode import Episode, EpisodeRules, Start, begin, play
from novicegym.envs.partner import Partner
from novicegym.envs.student import StudentEnv
from novicegym.envs.vector import StudentVectorEnv
from novicegym.errors import EndpointError, GraderError, UsageError
from novicegym.grading.grader import Grader
from novicegym.rewards.base import NoReward

ANN = {"trajectory": ("ann", "add"), "position": 2}
RIGHT = "def add(a, b):\n    return a + b"
WRONG = ("def add(a, b):\n    return 7", "def add(a, b):\n    return 8", "x = 1")


class Tutor:
    """Says the grade and the length of what it was shown; fails in front of BAD code."""

    name = "test"

    def __init__(self, course: Course | None = None) -> None:
        self.batches: list[int] = []

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        self.batches.append(len(dialogs))
        return [self.say(dialog, info) for dialog, info in zip(dialogs, infos, strict=True)]

    def say(self, dialog: Dialog, info: Mapping[str, Any]) -> Any:
        return f"  {info['grade_exact']} after {len(dialog)} messages, {info['step']} steps\n"


class Silent(Tutor):
    def say(self, dialog: Dialog, info: Mapping[str, Any]) -> Any:
        return " \n"


class Failing(Tutor):
    """Behaves as the submission says."""

    def say(self, dialog: Dialog, info: Mapping[str, Any]) -> Any:
        for message in dialog:
            message["content"] = "spoilt"
        if "raise" in info["code"]:
            raise RuntimeError("out of\nmemory " + "x" * 1000)
        if "prompt" in info["code"]:
            raise UsageError("the prompt does not fit")
        return None if "nothing" in info["code"] else "ok"


def played(tutor: Partner | None, course: Course, grader: Grader, **rules: Any) -> list[Episode]:
    """Episodes at three positions of ann's log after the same submissions."""
    starts = [Start.at(course, course.trajectories[0], position) for position in (0, 1, 2)]
    episodes = begin(starts, EpisodeRules(**rules), grader, tutor)
    for code in WRONG:
        running = [episode for episode in episodes if not episode.stop]
        play(running, [code] * len(running), grader, NoReward(), tutor)
    return episodes


def test_the_message_stands_in_the_last_user_turn_and_in_info(
    small_course: Course, grader: Grader
) -> None:
    env = StudentEnv(small_course, grader=grader, tutor=Tutor())
    dialog, info = env.reset(options=ANN)
    expected = "1/4 after 2 messages, 0 steps"
    assert split_message(dialog[-1]["content"])[1] == info["tutor_message"] == expected
    dialog, *_, info = env.step(WRONG[0])
    expected = "0 after 4 messages, 1 steps"
    assert split_message(dialog[-1]["content"])[1] == info["tutor_message"] == expected
    turns = parse_dialog(dialog, env.rules.format)
    assert [turn.message for turn in turns] == ["", "1/4 after 2 messages, 0 steps", expected]


def test_an_episode_that_ended_gets_no_message(small_course: Course, grader: Grader) -> None:
    env = StudentEnv(small_course, grader=grader, tutor=Tutor())
    env.reset(options=ANN)
    dialog, *_, info = env.step(RIGHT)
    assert info["stop"] == "correct"
    assert info["tutor_message"] == ""
    assert "```tutor" not in dialog[-1]["content"]


def test_before_the_first_submission_the_tutor_is_not_asked(
    small_course: Course, grader: Grader
) -> None:
    tutor = Tutor()
    env = StudentEnv(small_course, grader=grader, tutor=tutor)
    _, info = env.reset(options={"assignment": "add"})
    assert (info["tutor_message"], tutor.batches) == ("", [])
    env.step(WRONG[0])
    assert tutor.batches == [1]


def test_a_silent_tutor_leaves_the_episodes_as_they_are_without_one(
    small_course: Course, grader: Grader
) -> None:
    alone, silent = played(None, small_course, grader), played(Silent(), small_course, grader)
    again = played(Silent(), small_course, grader)
    for one, other, third in zip(alone, silent, again, strict=True):
        assert other == third
        assert one.dialog() == other.dialog()
        assert one.tutor_dialog() == other.tutor_dialog()
        plain, info = one.info(reveal=True), other.info(reveal=True)
        assert info.pop("tutor_message") == info.pop("tutor_failure") == ""
        assert plain == info
        assert "tutor_message" not in plain


def test_all_episodes_that_go_on_are_asked_about_in_one_batch(
    small_course: Course, grader: Grader
) -> None:
    tutor = Tutor()
    episodes = played(tutor, small_course, grader, horizon=2)
    assert tutor.batches == [2, 3]  # at position 0 nothing has been submitted; the last step ends
    assert [len(episode.messages) for episode in episodes] == [2, 3, 4]
    assert all(episode.messages[-1] == "" for episode in episodes)
    assert all(episode.tutor_failures == [""] * len(episode.turns) for episode in episodes)


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise 1", "RuntimeError: out of memory " + "x" * 169 + "..."),
        ("prompt", "UsageError: the prompt does not fit"),
        ("nothing", "a message is text, got NoneType"),
    ],
)
def test_a_tutor_that_fails_is_silent_where_it_failed_and_nowhere_else(
    small_course: Course, grader: Grader, code: str, reason: str, timeout: float | None
) -> None:
    rules = EpisodeRules(tutor_timeout=timeout)
    start = Start.at(small_course, small_course.trajectories[0], 1)
    codes = [WRONG[0], code, WRONG[1]]
    episodes = begin([start] * 3, rules, grader)
    play(episodes, codes, grader, NoReward(), Failing())
    assert [episode.messages[-1] for episode in episodes] == ["ok", "", "ok"]
    assert [episode.tutor_failures[-1] for episode in episodes] == ["", reason, ""]
    assert [one.info(reveal=False)["tutor_failure"] for one in episodes] == ["", reason, ""]
    [alone] = begin([start], rules, grader)
    play([alone], [code], grader, NoReward(), Failing())
    assert alone == episodes[1]
    [plain] = begin([start], rules, grader)
    play([plain], [code], grader, NoReward())
    assert plain.dialog() == alone.dialog()


class Hanging(Tutor):
    """Answers only once it may."""

    def __init__(self, *, raises: bool = False) -> None:
        super().__init__()
        self.may = threading.Event()
        self.raises = raises
        self.threads: list[threading.Thread] = []

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        self.batches.append(len(dialogs))
        self.threads.append(threading.current_thread())
        if self.raises and len(dialogs) > 1:
            raise RuntimeError("one at a time, please")
        self.may.wait(20)
        return ["ok"] * len(dialogs)


def test_a_time_out_fails_the_batch_and_no_call_begins_until_it_has_ended(
    small_course: Course, grader: Grader
) -> None:
    tutor, other = Hanging(), Tutor()
    start = Start.at(small_course, small_course.trajectories[0], 1)
    late, waits = "no answer within 0.1 s", "not asked: an earlier call has not ended"
    begun = time.monotonic()
    episodes = begin([start] * 3, EpisodeRules(tutor_timeout=0.1), grader, tutor)
    play(episodes, [WRONG[0]] * 3, grader, NoReward(), tutor)
    # Without a limit it would wait for ever.
    [unlimited] = begin([start], EpisodeRules(), grader, tutor)
    assert time.monotonic() - begun < 3
    assert [episode.tutor_failures for episode in episodes] == [[late, waits]] * 3
    assert all(episode.messages == ["", ""] for episode in episodes)
    assert unlimited.tutor_failures == [waits]
    assert tutor.batches == [3]
    [meanwhile] = begin([start], EpisodeRules(tutor_timeout=5), grader, other)
    assert meanwhile.tutor_failures == [""]
    tutor.may.set()
    tutor.threads[0].join(5)
    play(episodes, [WRONG[1]] * 3, grader, NoReward(), tutor)
    assert tutor.batches == [3, 3]
    assert [episode.messages[-1] for episode in episodes] == ["ok"] * 3


def test_a_time_out_among_single_dialogs_leaves_the_rest_unasked(
    small_course: Course, grader: Grader
) -> None:
    tutor = Hanging(raises=True)
    start = Start.at(small_course, small_course.trajectories[0], 1)
    episodes = begin([start] * 3, EpisodeRules(tutor_timeout=0.1), grader, tutor)
    tutor.may.set()
    assert tutor.batches == [3, 1]
    late, waits = "no answer within 0.1 s", "not asked: an earlier call has not ended"
    assert [episode.tutor_failures[-1] for episode in episodes] == [late, waits, waits]


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("error", [KeyboardInterrupt, EndpointError, GraderError])
def test_what_the_tutor_is_not_to_blame_for_is_raised(
    small_course: Course, grader: Grader, error: type[BaseException], timeout: float | None
) -> None:
    class Raising(Tutor):
        def say(self, dialog: Dialog, info: Mapping[str, Any]) -> Any:
            raise error("stop")

    env = StudentEnv(small_course, grader=grader, tutor=Raising(), tutor_timeout=timeout)
    with pytest.raises(error, match="stop"):
        env.reset(options=ANN)


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize(("said", "got"), [("hint", "a str"), ([], "0"), (["a", "b"], "2")])
def test_a_tutor_that_returns_no_list_of_messages_is_the_callers_mistake(
    small_course: Course, grader: Grader, said: Any, got: str, timeout: float | None
) -> None:
    class Wrong(Tutor):
        def act(self, dialogs: Any, infos: Any) -> Any:
            return said

    env = StudentEnv(small_course, grader=grader, tutor=Wrong(), tutor_timeout=timeout)
    with pytest.raises(UsageError, match=f"list of 1 messages, one per dialog; got {got}"):
        env.reset(options=ANN)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_time_limit_is_a_time(small_course: Course, timeout: float) -> None:
    with pytest.raises(UsageError, match="tutor_timeout must be"):
        StudentEnv(small_course, tutor=Tutor(), tutor_timeout=timeout)


def plain(value: Any) -> Any:
    """Arrays as lists, so that equality says whether all is the same."""
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return [plain(member) for member in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_the_vector_environment_equals_single_ones(
    small_course: Course, grader: Grader, mode: AutoresetMode
) -> None:
    kwargs = {"course": small_course, "grader": grader, "horizon": 2, "tutor": Tutor}
    native = StudentVectorEnv(3, **kwargs, autoreset_mode=mode)
    sync = gym.vector.SyncVectorEnv([lambda: StudentEnv(**kwargs)] * 3, autoreset_mode=mode)
    assert plain(native.reset(seed=5)) == plain(sync.reset(seed=5))
    for step in range(6):
        actions = ("x", RIGHT if step % 2 else "y", "exit()")
        mine, theirs = native.step(actions), sync.step(actions)
        assert plain(mine) == plain(theirs)
        ended = mine[2] | mine[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            again = [envs.reset(options={"reset_mask": ended.copy()}) for envs in (native, sync)]
            assert plain(again[0]) == plain(again[1])


def test_check_env_has_nothing_to_say(small_course: Course) -> None:
    check_env(gym.make("FalconCodeStudent-v0", course=small_course, tutor=Tutor).unwrapped)


def test_a_pickled_environment_goes_on_with_its_tutor() -> None:
    env = StudentEnv("cs1", tutor=Tutor)
    env.reset(seed=3)
    copy = pickle.loads(pickle.dumps(env))
    assert copy.step("x = 1") == env.step("x = 1")


def test_a_tutor_named_in_text_survives_json() -> None:
    spec = "novicegym.agents.persistence:PersistenceAgent"  # as a tutor it shows the last code
    env = gym.make("FalconCodeStudent-v0", tutor=spec)
    assert env.spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    first: Any = env.reset(seed=5)
    assert again.reset(seed=5) == first
    assert first[1]["code"] in first[1]["tutor_message"]


@pytest.mark.parametrize("tutor", [PersistenceAgent, lambda course: PersistenceAgent(course)])
def test_a_tutor_may_be_what_makes_one_for_the_course(
    small_course: Course, grader: Grader, tutor: Any
) -> None:
    env = StudentEnv(small_course, grader=grader, tutor=tutor)
    assert "return a - b" in env.reset(options=ANN)[1]["tutor_message"]


@pytest.mark.parametrize(
    ("tutor", "message"),
    [
        (3, "a tutor has a name and act"),
        ("silent", "package.module:factory"),
        ("no.such:thing", "No module named 'no'"),
        ("novicegym.agents.persistence:Persistance", "has no 'Persistance'"),
        (lambda course: "hint", "got 'hint'"),
    ],
)
def test_what_is_no_tutor_is_named(small_course: Course, tutor: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StudentEnv(small_course, tutor=tutor)


def test_past_the_log_an_episode_goes_on_to_its_horizon(
    small_course: Course, grader: Grader
) -> None:
    start = {"trajectory": ("ann", "add"), "position": 4}
    env = StudentEnv(small_course, grader=grader, horizon=2, past_log=True, reveal=True)
    env.reset(options=start)
    _, _, terminated, truncated, info = env.step(WRONG[0])
    assert (terminated, truncated, info["target_code"]) == (False, False, None)
    _, reward, _, truncated, info = env.step(WRONG[0])
    assert (reward, truncated, info["stop"]) == (0, True, "horizon")


def test_a_copy_of_an_episode_goes_on_by_itself(small_course: Course, grader: Grader) -> None:
    [episode] = begin([Start.at(small_course, small_course.trajectories[0], 2)], EpisodeRules(),
                      grader, Tutor())  # fmt: skip
    copy = episode.copy()
    assert copy == episode
    before = episode.dialog()
    play([copy], [WRONG[0]], grader, NoReward(), Tutor())
    assert episode.dialog() == before
    assert len(episode.messages) == len(episode.tutor_failures) == len(episode.turns) == 2


def test_a_tutor_speaks_only_after_a_submission_of_a_running_episode(
    small_course: Course, grader: Grader
) -> None:
    [episode] = begin([Start(small_course.assignment("add"), "")], EpisodeRules(), grader)
    with pytest.raises(UsageError, match="after a submission"):
        episode.say("hello")
    play([episode], [RIGHT], grader, NoReward())
    with pytest.raises(UsageError, match="while the episode runs"):
        episode.say("hello")
