"""`novicegym model`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from novicegym.cli import app
from novicegym.training.models import load_model

COURSE = ("--course", "cs1", "--split", "trajectories:20")


def novicegym(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["model", "init", *COURSE, *map(str, arguments)])


def test_init_makes_a_model_that_loads_and_says_what_it_is(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "tiny"
    run = novicegym("--size", "1M", "--out", out, "--vocabulary", "600")
    assert run.exit_code == 0, run.output
    assert "Writing" not in run.stderr  # no bar of a library's
    loaded = load_model(str(out), device="cpu")
    assert run.stdout.splitlines() == [
        f"parameters: {loaded.model.num_parameters():,}",
        "vocabulary: 600",
        f"path: {out}",
    ]
    again = novicegym("--out", out, "--vocabulary", "300", "--json")
    assert json.loads(again.stdout)["vocabulary"] == 300


def test_what_cannot_be_made_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    command = [sys.executable, "-W", "error", "-m", "novicegym", "model", "init", *COURSE]
    run = subprocess.run([*command, "--out", tmp_path], capture_output=True, text=True, timeout=300)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("novicegym: ")
    assert "neither empty nor made by `novicegym model init`" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_init_without_the_train_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    run = novicegym("--out", tmp_path / "m")
    assert "pip install 'novicegym[train]'" in str(run.exception)
    assert not (tmp_path / "m").exists()
