"""Rollouts on Ray that lose a machine, the disk, or the process that began them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from novicegym.agents.registry import make_agent
from novicegym.courses.load import load_course
from novicegym.courses.model import Course
from novicegym.courses.splits import sample_trajectories
from novicegym.eval import rollouts
from novicegym.eval.distributed import rollout_on_ray
from novicegym.eval.records import read_records
from novicegym.eval.rollouts import rollout

ray = pytest.importorskip("ray")

SPLIT = "trajectories:128"
"""Four shards."""


@pytest.fixture(scope="module")
def course() -> Course:
    return sample_trajectories(load_course("cs1"), 128)


@pytest.fixture(scope="module")
def alone(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that one process made."""
    agent = make_agent("persistence", course, seed=0)
    return rollout(course, agent, tmp_path_factory.mktemp("alone"))


@pytest.fixture
def two_machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster whose second machine has more cores, and so more of the work."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    cluster.second = cluster.add_node(num_cpus=2)
    yield cluster
    cluster.shutdown()


def parts(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.rglob("*.parquet")}


@pytest.mark.parametrize("replicas", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_machine_that_is_lost_costs_nothing_that_was_finished(
    replicas: int,
    course: Course,
    alone: Path,
    two_machines: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollouts, "SHARD_TRAJECTORIES", 8)
    lost: list[int] = []

    def lose(done: int, total: int) -> None:
        if not lost:
            lost.append(done)
            two_machines.remove_node(two_machines.second, allow_graceful=False)

    run = rollout_on_ray(
        course,
        partial(make_agent, "persistence", course, seed=0),
        tmp_path / "run",
        address=two_machines.address,
        env_workers=3,
        model_replicas=replicas,
        progress=lose,
    )
    assert lost[0] < 128
    assert read_records(run).equals(read_records(alone))


def command(out: Path) -> list[str]:
    rollout = ["rollout", "--agent", "persistence", "--split", SPLIT, "--out", str(out)]
    return [sys.executable, "-m", "novicegym", *rollout, "--ray", "--env-workers", "1"]


def wait_for_a_shard(run: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not list(run.rglob("*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    "blow", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_a_run_whose_process_is_ended_goes_on_with_the_same_command(
    blow: signal.Signals, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen(
        command(run), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_a_shard(run, process)
    process.send_signal(blow)
    _, told = process.communicate(timeout=60)
    begun = parts(run)
    assert 1 <= len(begun) < 4
    if blow == signal.SIGINT:
        assert process.returncode == 130
        assert told.splitlines()[-1].startswith("novicegym: interrupted; what was finished is kept")
        assert "Traceback" not in told
    finished = subprocess.run(command(run), capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert parts(run) == parts(alone)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_told_and_with_room_the_run_goes_on(alone: Path, small_disk: Path) -> None:
    whole = parts(alone)
    resize(small_disk, sum(map(len, whole.values())) // 2)
    run = small_disk / "run"
    full = subprocess.run(command(run), capture_output=True, text=True, timeout=120)
    assert full.returncode == 2
    assert "No space left on device" in full.stderr.splitlines()[-1]
    kept = parts(run)
    assert 1 <= len(kept) < 4
    assert kept.items() <= whole.items()
    resize(small_disk, 16 << 20)
    assert subprocess.run(command(run), capture_output=True, timeout=120).returncode == 0
    assert parts(run) == whole


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size >> 10}k", str(disk)], check=True)
