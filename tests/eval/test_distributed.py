"""Rollouts on Ray: the records of one process, whatever is killed on the way."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from novicegym.agents.base import completion
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.errors import AgentError, GraderError, UsageError
from novicegym.eval import distributed, rollouts
from novicegym.eval.distributed import rollout_on_ray
from novicegym.eval.episodes import make_protocol
from novicegym.eval.records import read_records, shard_path
from novicegym.eval.rollouts import rollout

ray = pytest.importorskip("ray")

PUBLISHED = make_protocol("published")
# Other processes cannot import a test's module.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Mutter:
    """Hands in another program at every step, by what is in the log; slow if told to be."""

    name = "mutter"

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        time.sleep(self.seconds * len(dialogs))
        return [
            completion(f"{info['code']}\n# {info['step']}", info, DialogFormat()) for info in infos
        ]


@pytest.fixture(scope="module")
def course(small_course: Course) -> Course:
    """Twelve classes of the same students."""
    return Course(
        "small",
        small_course.assignments,
        tuple(
            replace(one, student_id=f"{one.student_id}{number}")
            for number in range(12)
            for one in small_course.trajectories
        ),
    )


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "SHARD_TRAJECTORIES", 4)


@pytest.fixture(scope="module")
def alone(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that one process made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollouts, "SHARD_TRAJECTORIES", 4)
        return rollout(course, Mutter(), tmp_path_factory.mktemp("alone"), protocol=PUBLISHED)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray on this machine, for several tests: it takes seconds to start."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def files(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


@pytest.mark.parametrize(("workers", "replicas"), [(1, 0), (3, 0), (2, 1), (3, 2)])
def test_any_number_of_processes_writes_the_same_bytes(
    workers: int, replicas: int, course: Course, alone: Path, cluster: Any, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    run = rollout_on_ray(
        course,
        Mutter,
        tmp_path / "run",
        protocol=PUBLISHED,
        env_workers=workers,
        model_replicas=replicas,
        batch_size=5,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert files(run) == files(alone)
    assert seen[-1] == (48, 48)


class Whispers:
    """A tutor that fails with every fourth student."""

    name = "whispers"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        if any(info["student_id"].endswith("4") for info in infos):
            raise ConnectionError("the line is dead")
        return [f"{info['student_id']} at {info['step']}" for info in infos]


class Deaf(Mutter):
    listens = False


@pytest.mark.parametrize("replicas", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_with_a_tutor_the_records_are_those_of_one_process(
    replicas: int, course: Course, cluster: Any, tmp_path: Path
) -> None:
    trial = make_protocol("trial")
    here = rollout(course, Mutter(), tmp_path / "here", protocol=trial, tutor=Whispers())
    there = tmp_path / "there"
    settings: dict[str, Any] = {"protocol": trial, "env_workers": 2, "model_replicas": replicas}
    with pytest.raises(UsageError, match="does not listen"):
        rollout_on_ray(course, Deaf, there, make_tutor=Whispers, **settings)
    rollout_on_ray(course, Mutter, there, make_tutor=Whispers, **settings)
    assert files(there) == files(here)
    said = read_records(there).column("message").to_pylist()
    failed = read_records(there).column("tutor_failure").to_pylist()
    assert {"ann0 at 0", "ConnectionError: the line is dead"} <= {*said, *failed}


def pids(what: str) -> set[int]:
    """The processes that run a task or an actor."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(f"ray::{what}".encode()):
                found.add(int(entry.name))
    return found


@pytest.mark.parametrize("what", ["_play", "_Replica"])
def test_a_process_killed_in_mid_run_loses_nothing(
    what: str, course: Course, alone: Path, cluster: Any, tmp_path: Path
) -> None:
    killed: set[int] = set()

    def kill(done: int, total: int) -> None:
        # Between two shards a worker is nobody's: then the next time.
        if not killed and done < total and (victims := pids(what)):
            killed.add(min(victims))
            os.kill(min(victims), signal.SIGKILL)

    run = rollout_on_ray(
        course,
        partial(Mutter, 0.002),
        tmp_path / "run",
        protocol=PUBLISHED,
        env_workers=2,
        model_replicas=1,
        progress=kill,
    )
    assert killed
    assert files(run) == files(alone)


class Broken(Mutter):
    """Fails in one assignment."""

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        if any(info["student_id"].endswith("7") for info in infos):
            raise UsageError("no answer to student 7")
        return super().act(dialogs, infos)


@pytest.mark.parametrize("replicas", [0, 1])
def test_an_agents_error_is_told_and_what_was_finished_is_there_for_another(
    replicas: int, course: Course, alone: Path, cluster: Any, tmp_path: Path
) -> None:
    settings = {"protocol": PUBLISHED, "env_workers": 1, "model_replicas": replicas}
    with pytest.raises(UsageError, match=r"^no answer to student 7$"):
        rollout_on_ray(course, Broken, tmp_path / "run", **settings)
    done = [index for index in range(12) if shard_path(tmp_path / "run", index).exists()]
    assert done
    assert len(done) < 12
    with pytest.raises(UsageError, match="unfinished"):
        read_records(tmp_path / "run")
    rollout_on_ray(course, Mutter, tmp_path / "run", **settings)
    assert files(tmp_path / "run") == files(alone)


def test_one_process_goes_on_with_what_ray_began(
    course: Course, alone: Path, cluster: Any, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="student 7"):
        rollout_on_ray(course, Broken, tmp_path / "run", protocol=PUBLISHED, env_workers=2)
    rollout(course, Mutter(), tmp_path / "run", protocol=PUBLISHED)
    assert files(tmp_path / "run") == files(alone)


class TalkError(Exception):
    """Cannot be read by another process: it wants two arguments."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


class Talks(Mutter):
    """Fails in its own way."""

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        raise TalkError("no", "model")


@pytest.mark.parametrize("replicas", [0, 1])
def test_an_agents_own_exception_is_told_with_its_place(
    replicas: int, course: Course, cluster: Any, tmp_path: Path
) -> None:
    settings = {"protocol": PUBLISHED, "env_workers": 1, "model_replicas": replicas}
    with pytest.raises(RuntimeError, match="TalkError: no model") as told:
        rollout_on_ray(course, Talks, tmp_path / "run", **settings)
    assert 'raise TalkError("no", "model")' in "".join(traceback.format_exception(told.value))


class Stillborn(Mutter):
    """Cannot be made."""

    def __init__(self) -> None:
        raise UsageError("no weights at /models/none")


class Deadly(Mutter):
    """Ends the process that asks it."""

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


def test_an_agent_that_cannot_be_made_is_told_and_leaves_no_run(
    course: Course, cluster: Any, tmp_path: Path
) -> None:
    settings = {"protocol": PUBLISHED, "env_workers": 1, "model_replicas": 1}
    with pytest.raises(AgentError, match="no weights at /models/none"):
        rollout_on_ray(course, Stillborn, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_an_agent_that_kills_its_process_ends_the_run(
    course: Course, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "_TRIES", 1)
    with pytest.raises(GraderError, match="begun 2 times: a process that it needs dies"):
        rollout_on_ray(course, Deadly, tmp_path / "run", protocol=PUBLISHED, env_workers=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"env_workers": 5}, "5 env workers need a core each, Ray has 4"),
        ({"env_workers": 0}, "env_workers must be at least 1"),
        ({"model_replicas": -1}, "model_replicas must be at least 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_impossible_settings_are_named(
    wrong: dict[str, int], message: str, course: Course, cluster: Any, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        rollout_on_ray(course, Mutter, tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()
