"""Runs that are killed or interrupted, as processes of their own, and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from novicegym.cli import app
from novicegym.courses.model import Course
from novicegym.courses.store import save_course

pytest.importorskip("torch")

# transformers renames a setting that TRL's configurations still set.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`(is_)?gradient_checkpointing(_enable|_disable)?`:FutureWarning"
)
Command = Callable[..., list[str]]
SETTINGS = {
    "sft": ("epochs=3", "batch_size=2", "accumulation=1"),
    "dpo": ("epochs=1", "batch_size=2", "accumulation=1", "learning_rate=1e-3"),
    "dapo": ("batch_size=4", "completion=16", "resamples=0", "positions=1"),
}


@pytest.fixture(scope="module")
def school_dir(school: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("school") / "course"
    save_course(school, folder)
    return folder


@pytest.fixture(scope="module")
def command(school_dir: Path) -> Command:
    """The arguments of `novicegym train`."""

    def command(stage: str, model: Path, out: Path, adapter: str, *more: str) -> list[str]:
        settings = (f"adapter={adapter}", "context=1200", *SETTINGS[stage])
        sets = [part for setting in settings for part in ("--set", setting)]
        where = ["--course", str(school_dir), "--model", str(model), "--out", str(out)]
        return ["train", stage, *where, *sets, *more]

    return command


@pytest.fixture(scope="module")
def sft_lora(
    command: Command, tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tmp_path_factory.mktemp("lora") / "sft"
    invoke(command("sft", tiny_model_dir, run, "lora"))
    return run


def invoke(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("the model is in") == 1


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "novicegym", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not there():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


def reports(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, without what a clock says."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    clock = ("_runtime", "_per_second", "_time", "_seconds")
    return [{k: v for k, v in line.items() if not k.endswith(clock)} for line in lines]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("stage", "adapter"),
    [
        ("sft", "full"),
        pytest.param("sft", "lora", marks=pytest.mark.slow),
        pytest.param("dpo", "full", marks=pytest.mark.slow),
        pytest.param("dpo", "lora", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_like_an_unbroken_one(
    stage: str,
    adapter: str,
    command: Command,
    tiny_model_dir: Path,
    sft_lora: Path,
    tmp_path: Path,
) -> None:
    model = sft_lora if (stage, adapter) == ("dpo", "lora") else tiny_model_dir
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    invoke(command(stage, model, unbroken, adapter))

    process = start(command(stage, model, killed, adapter))
    checkpoints = killed / "checkpoints"
    wait_for(lambda: any(checkpoints.glob("checkpoint-*/trainer_state.json")), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "model").exists()

    invoke(command(stage, model, killed, adapter, "--resume"))
    assert reports(killed) == reports(unbroken)
    assert contents(killed / "model") == contents(unbroken / "model")


@pytest.mark.parametrize("stage", ["sft", pytest.param("dapo", marks=pytest.mark.slow)])
def test_ctrl_c_saves_and_the_run_goes_on(
    stage: str, command: Command, tiny_model_dir: Path, tmp_path: Path
) -> None:
    unbroken, stopped = tmp_path / "unbroken", tmp_path / "stopped"
    invoke(command(stage, tiny_model_dir, unbroken, "full"))

    process = start(command(stage, tiny_model_dir, stopped, "full"))
    metrics = stopped / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and metrics.read_text().count("\n") > 0, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
    _, said = process.communicate(timeout=240)
    assert process.returncode == 130, said
    assert said.splitlines()[-1].startswith("novicegym: interrupted; what was finished is kept")
    assert "Traceback" not in said
    assert not (stopped / "model").exists()
    last = reports(stopped)[-1]
    assert last["step"] < reports(unbroken)[-1]["step"]
    assert "train_loss" not in last
    state = stopped / "checkpoints" / f"checkpoint-{last['step']}" / "trainer_state.json"
    assert json.loads(state.read_text())["global_step"] == last["step"]

    invoke(command(stage, tiny_model_dir, stopped, "full", "--resume"))
    assert reports(stopped) == reports(unbroken)
    assert contents(stopped / "model") == contents(unbroken / "model")
