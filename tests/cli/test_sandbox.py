"""`novicegym sandbox check` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

import pytest
from typer.testing import CliRunner

from novicegym.cli import app
from novicegym.grading import check
from novicegym.grading.rungs import RUNGS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

ATTACK = "renames_the_machine"


def sandbox_check(only: str, required: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command for one attack, with NOVICEGYM_SANDBOX set to this rung."""
    command = [sys.executable, "-W", "error", "-m", "novicegym", "sandbox", "check"]
    environment = {name: text for name, text in os.environ.items() if name != "NOVICEGYM_SANDBOX"}
    if required is not None:
        environment["NOVICEGYM_SANDBOX"] = required
    return subprocess.run(
        [*command, "--only", only], capture_output=True, text=True, env=environment, timeout=60
    )


def test_the_check_prints_the_rungs_and_exits_0() -> None:
    done = sandbox_check(ATTACK)
    assert done.returncode == 0, done.stderr
    rung, required, allowed, layers, count = done.stdout.splitlines()
    assert rung.removeprefix("rung in force: ") in RUNGS
    assert required == "required rung: no-namespaces (the default)"
    assert allowed == "grading allowed: yes"
    assert "rlimits" in layers
    assert count == "1 of 1 attacks stopped"


def test_a_required_rung_of_the_environment_is_named_as_its() -> None:
    required = sandbox_check(ATTACK, "limits-only").stdout.splitlines()[1]
    assert required == "required rung: limits-only (from NOVICEGYM_SANDBOX)"


def test_a_rung_that_does_not_exist_is_told_before_any_attack() -> None:
    done = sandbox_check(ATTACK, "bogus")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "novicegym: unknown rung of isolation in NOVICEGYM_SANDBOX 'bogus'. "
        f"Known: {', '.join(sorted(RUNGS))}"
    )


def test_the_check_as_json() -> None:
    result = CliRunner().invoke(app, ["sandbox", "check", "--json", "--only", ATTACK])
    document = json.loads(result.stdout)
    assert set(document) == {"rung", "required", "grading_allowed", "layers", "results"}
    assert document["grading_allowed"] is True
    [stopped] = document["results"]
    assert (stopped["name"], stopped["status"]) == (ATTACK, "stopped")


def test_what_gets_through_is_told_and_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    # The real check, with most layers taken away.
    weak = partial(check.check_sandbox, layers=frozenset({"no_new_privs", "rlimits"}))
    monkeypatch.setattr(check, "check_sandbox", weak)
    monkeypatch.delenv("NOVICEGYM_SANDBOX", raising=False)
    names = ("reads_a_host_file", "kills_everything", ATTACK)
    only = [part for name in names for part in ("--only", name)]
    result = CliRunner().invoke(app, ["sandbox", "check", *only])
    assert result.exit_code == 1
    rung, _, allowed, layers, through, detail, left_out, reason, count = result.stdout.splitlines()
    assert (rung, allowed) == ("rung in force: limits-only", "grading allowed: no")
    assert layers == "layers: no_new_privs, rlimits"
    assert through.startswith("got through: reads_a_host_file: ")
    assert "'read " in detail
    assert left_out.startswith("not tried: kills_everything: ")
    assert "would harm this machine" in reason
    assert count == "1 of 3 attacks stopped"


def test_the_name_of_an_attack_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = max(check.load_attacks(), key=len)
    found = check.AttackResult(longest, "tries " * 40, "got through", "detail " * 60)
    report = check.SandboxReport("full", "full", ("rlimits",), (found,))
    # What the check finds is stood in for: no attack gets through here.
    monkeypatch.setattr(check, "check_sandbox", lambda **_: report)
    monkeypatch.setenv("COLUMNS", "40")
    result = CliRunner().invoke(app, ["sandbox", "check"])
    assert longest in result.stdout


def test_an_unknown_attack_is_one_line_and_exit_2() -> None:
    done = sandbox_check("renames_machine")
    assert done.returncode == 2
    assert "novicegym: unknown attack 'renames_machine'. Did you mean" in done.stderr
