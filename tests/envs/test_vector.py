from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import novicegym  # noqa: F401
from novicegym.courses.model import Course
from novicegym.envs.student import StudentEnv
from novicegym.envs.vector import StudentVectorEnv
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader

ACTIONS = ["def add(a, b):\n    return a + b", "x", "n = int(input())\nprint(2 * n)"]


@pytest.mark.parametrize("mode", ["sync", "async", "vector_entry_point"])
def test_make_vec_in_every_mode_plays_the_same_episodes(mode: str) -> None:
    vector_kwargs = {"shared_memory": False} if mode == "async" else {}
    envs = gym.make_vec(
        "FalconCodeStudent-v0", num_envs=3, vectorization_mode=mode, vector_kwargs=vector_kwargs
    )
    single = [StudentEnv("cs1") for _ in range(3)]
    try:
        dialogs, infos = envs.reset(seed=7)
        expected = [env.reset(seed=7 + i) for i, env in enumerate(single)]
        assert list(dialogs) == [dialog for dialog, _ in expected]
        assert infos["student_id"].tolist() == [info["student_id"] for _, info in expected]
        dialogs, rewards, terminated, truncated, _ = envs.step(tuple(ACTIONS))
        steps = [env.step(action) for env, action in zip(single, ACTIONS, strict=True)]
        assert list(dialogs) == [step[0] for step in steps]
        assert rewards.tolist() == [step[1] for step in steps]
        assert terminated.tolist() == [step[2] for step in steps]
        assert truncated.tolist() == [step[3] for step in steps]
    finally:
        envs.close()


def test_next_step_autoreset_matches_gymnasiums_sync_vector(
    small_course: Course, grader: Grader
) -> None:
    kwargs = {"course": small_course, "grader": grader, "horizon": 2}
    native = StudentVectorEnv(2, **kwargs)
    sync = gym.vector.SyncVectorEnv([lambda: StudentEnv(**kwargs)] * 2)
    first = native.reset(seed=1)
    other = sync.reset(seed=1)
    assert first[0] == other[0]
    for _ in range(6):
        mine, theirs = native.step(["x", "y"]), sync.step(("x", "y"))
        assert mine[0] == theirs[0]
        for a, b in zip(mine[1:4], theirs[1:4], strict=True):
            np.testing.assert_array_equal(a, b)
        assert mine[4].keys() == theirs[4].keys()


def test_same_step_autoreset_hands_over_the_final_observation(
    small_course: Course, grader: Grader
) -> None:
    envs = StudentVectorEnv(
        2, small_course, grader=grader, horizon=1, autoreset_mode=AutoresetMode.SAME_STEP
    )
    envs.reset(seed=0)
    dialogs, _, _, truncated, infos = envs.step(["a", "b"])
    assert truncated.all()
    assert len(infos["final_obs"][0]) > 2
    assert infos["final_info"]["step"].tolist() == [1, 1]
    assert all(message["content"] != "```python\na\n```" for message in dialogs[0])


def test_masked_reset_leaves_the_others_alone(small_course: Course, grader: Grader) -> None:
    envs = StudentVectorEnv(2, small_course, grader=grader, autoreset_mode="Disabled")
    starts = [{"trajectory": 0, "position": t} for t in (1, 2)]
    envs.reset(options={"starts": starts})
    kept, *_ = envs.step(["a", "b"])
    mask = np.array([True, False])
    dialogs, infos = envs.reset(options={"starts": starts[::-1], "reset_mask": mask})
    assert dialogs[1] == kept[1]
    assert infos["position"][0] == 2
    assert infos["_position"].tolist() == [True, False]


def test_first_reset_may_be_masked_and_seeded_with_a_numpy_integer(
    small_course: Course, grader: Grader
) -> None:
    envs = StudentVectorEnv(2, small_course, grader=grader, autoreset_mode="Disabled")
    mask = np.array([True, False])
    dialogs, infos = envs.reset(seed=np.int64(1), options={"reset_mask": mask})
    assert (len(dialogs[0]) > 2, dialogs[1]) == (True, [])
    assert infos["_position"].tolist() == [True, False]


def test_unknown_render_mode_is_named(small_course: Course) -> None:
    with pytest.raises(UsageError, match="rgb"):
        StudentVectorEnv(2, small_course, render_mode="rgb")


def plain(value: Any) -> Any:
    """Arrays as lists, so that equality says whether all is the same."""
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return [plain(member) for member in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_autoreset_mode_matches_gymnasiums_sync_vector(
    small_course: Course, grader: Grader, mode: AutoresetMode
) -> None:
    kwargs = {"course": small_course, "grader": grader, "horizon": 2, "reveal": True}
    native = StudentVectorEnv(3, **kwargs, autoreset_mode=mode)
    sync = gym.vector.SyncVectorEnv([lambda: StudentEnv(**kwargs)] * 3, autoreset_mode=mode)
    assert plain(native.reset(seed=5)) == plain(sync.reset(seed=5))
    for step in range(8):
        actions = ("x", ACTIONS[0] if step % 2 else "y", "exit()")
        mine, theirs = native.step(actions), sync.step(actions)
        assert plain(mine) == plain(theirs)
        ended = mine[2] | mine[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            again = [envs.reset(options={"reset_mask": ended.copy()}) for envs in (native, sync)]
            assert plain(again[0]) == plain(again[1])


def test_ended_episodes_must_be_reset_when_autoreset_is_off(
    small_course: Course, grader: Grader
) -> None:
    envs = StudentVectorEnv(2, small_course, grader=grader, horizon=1, autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step(["a", "b"])
    with pytest.raises(UsageError, match="reset_mask"):
        envs.step(["a", "b"])
    with pytest.raises(UsageError, match="2 actions"):
        envs.step(["a"])
