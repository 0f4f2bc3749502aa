from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novicegym.agents.logged import LoggedAgent
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog
from novicegym.errors import UsageError
from novicegym.eval import rollouts
from novicegym.eval.episodes import make_protocol
from novicegym.eval.records import read_records, read_run, shard_path
from novicegym.eval.rollouts import rollout
from novicegym.grading.grader import Grader


class Script:
    """A policy that says the same at each step of every episode."""

    name = "script"

    def __init__(self, *codes: str) -> None:
        self.codes = codes
        self.calls = 0

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        self.calls += 1
        assert all("target_code" not in info for info in infos)
        return [f"```python\n{self.codes[info['step']]}\n```" for info in infos]


WRONG = "def add(a, b):\n    return 0"
RIGHT = "def add(a, b):\n    return a + b"


def test_every_position_is_played_against_its_logged_counterparts(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    protocol = make_protocol("published")
    run = rollout(
        small_course, Script(*[WRONG] * 5), tmp_path / "run", protocol=protocol, grader=grader
    )
    rows = read_records(run).to_pylist()
    ann = [row for row in rows if row["student_id"] == "ann" and row["assignment_id"] == "add"]
    assert [(row["position"], row["step"]) for row in ann] == [
        (position, step) for position in (1, 2, 3, 4) for step in range(1, 6 - position)
    ]
    trajectory = small_course.trajectories[0]
    for row in ann:
        target = trajectory.submissions[row["position"] + row["step"] - 1]
        assert row["logged_code"] == target.code
        assert row["generated_code"] == WRONG
        assert (row["grade_num"], row["grade_den"]) == (1, 2)
        assert (row["final_logged_grade_num"], row["logged_length"]) == (1, 5)
        assert row["stop"] == ("logged_end" if row["position"] + row["step"] == 5 else None)


def test_steps_after_a_correct_submission_are_uncovered(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    agent = Script(WRONG, RIGHT)
    run = rollout(
        small_course, agent, tmp_path / "run", protocol=make_protocol("published"), grader=grader
    )
    rows = read_records(run).to_pylist()
    ann = [row for row in rows if (row["student_id"], row["position"]) == ("ann", 1)]
    add = [row for row in ann if row["assignment_id"] == "add"]
    assert [row["generated_code"] for row in add] == [WRONG, RIGHT, None, None]
    assert [row["stop"] for row in add] == [None, "correct", None, None]
    assert all(row["logged_code"] for row in add)


def test_paper_protocol_starts_after_three_submissions(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    run = rollout(small_course, Script(*[WRONG] * 5), tmp_path / "run", grader=grader)
    rows = read_records(run).to_pylist()
    assert {row["position"] for row in rows} == {3, 4}


def test_student_is_done_with_her_first_correct_submission(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    ann = small_course.trajectories[0]
    on_and_on = replace(ann, submissions=ann.submissions + ann.submissions[-2:])
    course = Course("long", small_course.assignments, (on_and_on,))
    agent = LoggedAgent(course)
    rows = read_records(rollout(course, agent, tmp_path / "run", grader=grader)).to_pylist()
    assert [(row["position"], row["step"]) for row in rows] == [(3, 1), (3, 2), (4, 1)]
    assert {(row["logged_length"], row["final_logged_grade_num"]) for row in rows} == {(5, 1)}
    assert all(row["generated_code"] == row["logged_code"] for row in rows)


def test_killed_run_goes_on_and_ends_with_the_same_bytes(
    small_course: Course, grader: Grader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts, "SHARD_TRAJECTORIES", 1)

    class Dies(Script):
        def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
            if infos[0]["assignment_id"] == "double":
                raise KeyboardInterrupt
            return super().act(dialogs, infos)

    published = make_protocol("published")
    whole = rollout(
        small_course, Script(*[WRONG] * 5), tmp_path / "w", protocol=published, grader=grader
    )
    with pytest.raises(KeyboardInterrupt):
        rollout(small_course, Dies(*[WRONG] * 5), tmp_path / "d", protocol=published, grader=grader)
    with pytest.raises(UsageError, match="unfinished: 2 of 4"):
        read_records(tmp_path / "d")
    agent = Script(*[WRONG] * 5)
    rollout(small_course, agent, tmp_path / "d", protocol=published, grader=grader)
    assert agent.calls > 0
    for index in range(4):
        assert (
            shard_path(tmp_path / "d", index).read_bytes() == shard_path(whole, index).read_bytes()
        )
    again = Script()
    rollout(small_course, again, tmp_path / "d", protocol=published, grader=grader)
    assert again.calls == 0


def test_other_settings_in_the_same_folder_are_refused(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    rollout(small_course, Script(*[WRONG] * 5), tmp_path / "run", grader=grader)
    with pytest.raises(UsageError, match="seed"):
        rollout(small_course, Script(*[WRONG] * 5), tmp_path / "run", seed=1, grader=grader)
    with pytest.raises(UsageError, match=r"run\.json"):
        read_run(tmp_path)


def test_policy_that_says_too_little_is_named(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    class Mute(Script):
        def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
            return []

    with pytest.raises(UsageError, match="'script' gave 0 completions"):
        rollout(small_course, Mute(), tmp_path / "run", grader=grader)


@pytest.mark.parametrize("said", [None, "text", [None]])
def test_policy_that_says_no_text_is_named(
    small_course: Course, grader: Grader, tmp_path: Path, said: Any
) -> None:
    class Odd(Script):
        def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
            return said  # type: ignore[no-any-return]

    with pytest.raises(UsageError, match="'script' must return a list of str"):
        rollout(small_course, Odd(), tmp_path / "run", grader=grader)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seed": -1}, {"seed": 1 << 63}])
def test_impossible_settings_are_named(
    small_course: Course, grader: Grader, tmp_path: Path, wrong: dict[str, int]
) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be at least"):
        rollout(small_course, Script(), tmp_path / "run", grader=grader, **wrong)


def test_text_that_utf8_cannot_hold_is_recorded(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    run = rollout(small_course, Script(*["x = '\ud800'"] * 5), tmp_path / "run", grader=grader)
    rows = read_records(run).to_pylist()
    assert {row["generated_code"] for row in rows} == {"x = '?'"}


def test_twin_runs_under_different_hash_seeds_are_identical(tmp_path: Path) -> None:
    """All built-in agents, in two processes with different PYTHONHASHSEED."""
    agents = ("logged", "persistence", "retrieval", "reference", "novice")
    code = (
        "import sys; from pathlib import Path\n"
        "from novicegym.courses.load import load_course\n"
        "from novicegym.courses.splits import take_split\n"
        "from novicegym.agents.registry import make_agent\n"
        "from novicegym.eval.rollouts import rollout\n"
        "course = load_course('cs1')\n"
        "part = take_split(course, 'trajectories:4:seed=1')\n"
        f"for name in {agents!r}:\n"
        "    rollout(part, make_agent(name, part, seed=0), Path(sys.argv[1]) / name)\n"
    )
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / hash_seed)], check=True, env=environment
        )
    for name in agents:
        files = sorted(p for p in (tmp_path / "1" / name).rglob("*") if p.is_file())
        assert len(files) >= 2
        for file in files:
            twin = tmp_path / "2" / file.relative_to(tmp_path / "1")
            assert file.read_bytes() == twin.read_bytes(), file.name
