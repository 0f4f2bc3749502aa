"""Several processes on one run, as `accelerate launch` starts them: here two, on CPUs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from novicegym.cli import app
from novicegym.courses.model import Course
from novicegym.courses.store import save_course

pytest.importorskip("torch")

from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "recipes" / "accelerate"
SHARDED = Path(__file__).with_name("sharded_on_cpus.py")
LAUNCH = (sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch")
LAUNCH += ("--main_process_port", "0", "--config_file")  # 0: any that is free
# The school has 16 rows to train on.
TWO_HALVES = ("batch_size=2", "accumulation=4")
ONE_WHOLE = ("batch_size=16", "accumulation=1")


@pytest.fixture(scope="module")
def school_dir(school: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("school") / "course"
    save_course(school, folder)
    return folder


def arguments(
    course: Path, model: Path, out: Path, *settings: str, stage: str = "sft", adapter: str = "full"
) -> list[str]:
    common = (f"adapter={adapter}", "context=1200", "learning_rate=1e-2", "epochs=4")
    sets = [part for setting in (*common, *settings) for part in ("--set", setting)]
    return ["train", stage, "-c", str(course), "-m", str(model), "-o", str(out), *sets]


@pytest.fixture(scope="module")
def alone(school_dir: Path, tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process, with all rows in every step."""
    run = tmp_path_factory.mktemp("alone") / "run"
    done = CliRunner().invoke(app, arguments(school_dir, tiny_model_dir, run, *ONE_WHOLE))
    assert done.exit_code == 0, done.output
    return run


def reports(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, without what a clock says and what is averaged by batches."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = ("step", "epoch", "loss", "eval_loss", "train_loss", "grad_norm", "learning_rate")
    return [{key: line[key] for key in (*kept, "num_tokens") if key in line} for line in lines]


def assert_alike(run: Path, other: Path) -> None:
    for line, expected in zip(reports(run), reports(other), strict=True):
        assert line == pytest.approx(expected, rel=1e-4)
    saved, expected_weights = (load_file(one / "model/model.safetensors") for one in (run, other))
    for name, weight in expected_weights.items():
        assert (saved[name] - weight).abs().max() < 1e-3


def test_two_processes_take_the_steps_of_one(
    school_dir: Path, tiny_model_dir: Path, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = [*LAUNCH, CONFIGS / "two-cpus.yaml", "-m", "novicegym"]
    command += arguments(school_dir, tiny_model_dir, run, *TWO_HALVES)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # The first process speaks for both.
    assert done.stderr.count("70 rows read") == 1
    assert done.stderr.count("the model is in") == 1
    assert "Warning" not in done.stderr
    assert_alike(run, alone)
    assert (run / "data.json").read_bytes() == (alone / "data.json").read_bytes()
    assert len(list((run / "tensorboard").iterdir())) == 1
    # Both took part, each with a random state of its own.
    last = run / "checkpoints" / "checkpoint-4"
    assert len(list(last.glob("rng_state_*.pth"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("states", ["FULL", "SHARDED"])  # ours, and accelerate's default
def test_two_processes_may_hold_half_the_model_each(
    states: str, school_dir: Path, tiny_model_dir: Path, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = [*LAUNCH, CONFIGS / "fsdp.yaml", "--mixed_precision", "no"]
    command += ["--fsdp_state_dict_type", f"{states}_STATE_DICT", SHARDED]
    command += arguments(school_dir, tiny_model_dir, run, *TWO_HALVES)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert_alike(run, alone)
    # Was it sharded? Only then accelerate writes this.
    last = run / "checkpoints" / "checkpoint-4"
    assert list(last.glob("pytorch_model_fsdp*"))
    # As if it had been killed after its third step.
    shutil.rmtree(run / "model")
    shutil.rmtree(last)
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert_alike(run, alone)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "rows"), [("sft", 16), ("dpo", 24)])
def test_adapters_may_be_trained_beside_half_the_model_each(
    stage: str, rows: int, school_dir: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    runs = {}
    sharded = [*LAUNCH, CONFIGS / "fsdp.yaml", "--mixed_precision", "no", SHARDED]
    halves = ("batch_size=2", f"accumulation={rows // 4}")
    wholes = (f"batch_size={rows}", "accumulation=1")
    for name, launch, settings in (
        ("sharded", sharded, halves),
        ("alone", (sys.executable, "-m", "novicegym"), wholes),
    ):
        runs[name] = tmp_path / name
        wanted = arguments(
            *(school_dir, tiny_model_dir, runs[name], *settings, "lora_dropout=0"),
            stage=stage,
            adapter="lora",
        )
        done = subprocess.run([*launch, *wanted], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    saved, expected = (
        load_file(run / "model" / "adapter_model.safetensors") for run in runs.values()
    )
    assert saved.keys() == expected.keys()
    for name, weight in expected.items():
        assert (saved[name] - weight).abs().max() < 1e-3
    # An adapter that never moved is 0 here, and like any other that never moved.
    assert max(weight.abs().max() for name, weight in expected.items() if "lora_B" in name) > 2e-3
    # Was it sharded? Only then accelerate writes this.
    assert list((runs["sharded"] / "checkpoints").glob("*/pytorch_model_fsdp*"))


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_at_one_step_and_they_go_on(
    school_dir: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    command = [*LAUNCH, CONFIGS / "two-cpus.yaml", "-m", "novicegym"]
    settings = ("batch_size=1", "accumulation=1")  # 32 steps
    unbroken, stopped = tmp_path / "unbroken", tmp_path / "stopped"
    for_one = [*command, *arguments(school_dir, tiny_model_dir, unbroken, *settings)]
    subprocess.run(for_one, capture_output=True, timeout=300, check=True)
    for_other = [*command, *arguments(school_dir, tiny_model_dir, stopped, *settings)]

    process = subprocess.Popen(for_other, stderr=subprocess.PIPE, text=True, start_new_session=True)
    metrics, end = stopped / "metrics.jsonl", time.monotonic() + 240
    while not metrics.exists() or metrics.read_text().count("\n") < 3:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert said.count("novicegym: interrupted; what was finished is kept") == 2
    last = reports(stopped)[-1]["step"]
    assert last < 32
    assert (stopped / "checkpoints" / f"checkpoint-{last}" / "trainer_state.json").exists()

    subprocess.run([*for_other, "--resume"], capture_output=True, timeout=300, check=True)
    assert reports(stopped) == reports(unbroken)
    files = [run / "model" / "model.safetensors" for run in (stopped, unbroken)]
    assert files[0].read_bytes() == files[1].read_bytes()
