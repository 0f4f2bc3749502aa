"""`novicegym sandbox check` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import pytest
from typer.testing import CliRunner

from novicegym.cli import app
from novicegym.grading import check

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

ATTACK = "renames_the_machine"


def test_the_check_prints_the_rung_and_exits_0() -> None:
    command = [sys.executable, "-W", "error", "-m", "novicegym", "sandbox", "check"]
    done = subprocess.run([*command, "--only", ATTACK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rung, layers, count = done.stdout.splitlines()
    assert rung.startswith("rung: ")
    assert "rlimits" in layers
    assert count == "1 of 1 attacks stopped"


def test_the_check_as_json() -> None:
    result = CliRunner().invoke(app, ["sandbox", "check", "--json", "--only", ATTACK])
    document = json.loads(result.stdout)
    assert set(document) == {"rung", "layers", "results"}
    [stopped] = document["results"]
    assert (stopped["name"], stopped["status"]) == (ATTACK, "stopped")


def test_what_gets_through_is_told_and_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    # The real check, with most layers taken away.
    weak = partial(check.check_sandbox, layers=frozenset({"no_new_privs", "rlimits"}))
    monkeypatch.setattr(check, "check_sandbox", weak)
    names = ("reads_a_host_file", "kills_everything", ATTACK)
    only = [part for name in names for part in ("--only", name)]
    result = CliRunner().invoke(app, ["sandbox", "check", *only])
    assert result.exit_code == 1
    assert result.stdout.startswith("rung: limits-only\nlayers: no_new_privs, rlimits\n")
    assert "got through" in result.stdout
    assert "'read " in result.stdout
    assert "not tried" in result.stdout
    assert result.stdout.endswith("1 of 3 attacks stopped\n")


def test_an_unknown_attack_is_one_line_and_exit_2() -> None:
    command = [sys.executable, "-m", "novicegym", "sandbox", "check", "--only", "renames_machine"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "novicegym: unknown attack 'renames_machine'. Did you mean" in done.stderr
