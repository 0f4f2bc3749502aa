"""The demo, smaller than it is: students trained from scratch, played beside the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from novicegym.training.chain import PARENTS


@pytest.mark.slow
def test_demo_trains_every_stage_and_ends_with_all_in_one_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "novicegym", "demo", "--out", str(tmp_path / "demo")]
    command += ["--train-on", "20", "--trajectories", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "demo" / "table.json").read_text())["rows"]
    others = {"logged", "persistence", "retrieval", "reference", "novice"}
    assert {row["agent"] for row in rows} == others | set(PARENTS)
    assert len({row["episodes"] for row in rows}) == 1
    for stage in PARENTS:
        assert f"{stage} " in done.stdout
    # The same command again finds everything done.
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
