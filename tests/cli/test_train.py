"""`novicegym train`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from novicegym.cli import app
from novicegym.errors import UsageError

COURSE = ("--course", "cs1", "--split", "trajectories:6")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def novicegym(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "novicegym", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_show_explains_a_stages_recipe_and_does_nothing(tmp_path: Path) -> None:
    chain = tmp_path / "chain.yaml"
    chain.write_text("epochs: 2\ndpo:\n  beta: 0.1\n  learning_rate: 1e-6\n")
    flags = ("--set", "learning_rate=5e-5", "--model", "runs/sft")
    shown = run("dpo", "--recipe", chain, *flags, "--show")
    assert shown.exit_code == 0, shown.output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.stdout.splitlines()]
    values = {row[0]: row[1] for row in rows if len(row) == 3}
    assert values["beta"] == "0.1"
    assert values["epochs"] == "2.0"
    assert values["learning_rate"] == "5e-05"
    assert values["model"] == "runs/sft"
    assert "strategy" in values
    assert "group" not in values
    assert "strategy" not in run("sft", "--show").stdout
    assert sorted(tmp_path.iterdir()) == [chain]


def test_the_tutors_chair_has_recipes_of_its_own() -> None:
    flags = ("--chair", "tutor", "-r", "tiny", "--show")
    sft = run("sft", *flags, "--tutor", "bug_hint").stdout
    dapo = run("dapo", *flags, "--student", "hf:runs/sft", "--tutor-reward", "gain").stdout
    values = [
        {row[0]: row[1] for row in ([c.strip() for c in line.split("│")[1:-1]] for line in lines)
         if len(row) == 3}
        for lines in (sft.splitlines(), dapo.splitlines())
    ]  # fmt: skip
    assert values[0]["tutor"] == "bug_hint"
    assert (values[1]["student"], values[1]["tutor_reward"]) == ("hf:runs/sft", "gain")
    assert values[1]["completion"] == "64"
    assert not {"reward", "tutor"} & values[1].keys()


def test_show_needs_no_extra() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'trl'): sys.modules[name] = None\n"
        "sys.argv = ['novicegym', 'train', 'dapo', '--show']\n"
        "from novicegym.cli import main\n"
        "main()"
    )
    shown = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sfd", "--show"), "unknown stage 'sfd'. Did you mean 'sft'?"),
        (("sft", "-r", "tinny", "--show"), "unknown recipe 'tinny'. Did you mean 'tiny'?"),
        (("sft", "-r", "tiny"), "--out names the folder of the run"),
        (("sft", "--set", "epochs", "--show"), "--set takes NAME=VALUE, got 'epochs'"),
        (
            ("sft", "--set", "epoch=1", "--show"),
            "--set: unknown key of stage 'sft' 'epoch'. Did you mean 'epochs'?",
        ),
        (("dpo", "--set", "beta=much", "--show"), "--set: beta is a number, got 'much'"),
        (("sft", "-o", "OUT", "-m", "OUT/none"), "there is no model directory"),
        (("sft", "--chair", "tutr", "--show"), "unknown chair 'tutr'. Did you mean 'tutor'?"),
        (("dpo", "--chair", "tutor", "--show"), "a tutor is trained by sft and then by dapo"),
        (("sft", "--tutor", "silent", "--show"), "--tutor is for sft from the tutor's chair"),
        (
            ("sft", "--chair", "tutor", "--student", "novice", "--show"),
            "--student is for dapo from the tutor's chair",
        ),
        (("sft", "-o", "OUT", "-r", "tiny"), "the recipe names no model to start from: --model"),
        (("para", "--set", "feedback=full", "--show"), "feedback is one of none; got 'full'"),
    ],
)
def test_a_mistake_is_told(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    arguments = tuple(part.replace("OUT", str(tmp_path)) for part in arguments)
    told = run(*arguments, *COURSE)
    assert isinstance(told.exception, UsageError)
    assert message in str(told.exception)


def test_from_a_new_model_to_a_student(tmp_path: Path) -> None:
    made = novicegym("model", "init", *COURSE, "--vocabulary", "600", "--out", tmp_path / "init")
    assert made.returncode == 0, made.stderr
    out = tmp_path / "sft"
    command = ("train", "sft", "-r", "tiny", *COURSE, "-m", tmp_path / "init", "-o", out)
    command = (*command, "--set", "epochs=1")
    trained = novicegym(*command)
    assert trained.returncode == 0, trained.stderr
    assert "Warning" not in trained.stderr
    assert trained.stdout == ""
    last = trained.stderr.splitlines()[-1]
    assert last == f"the model is in {out}/model; try it: novicegym rollout --agent hf:{out} ..."
    assert re.search(r"^training: \d+ rows.*; validation: \d+ rows", trained.stderr, re.MULTILINE)
    assert re.search(r"^held-out loss \d\.\d+ at step \d+ of \d+,", trained.stderr, re.MULTILINE)
    assert "\n\n" not in trained.stderr, "no bars where there is no terminal"
    config = json.loads((out / "run.json").read_text())
    assert config["source"]["split"] == ["trajectories:6"]
    assert config["recipe"]["context"] == 2048  # the recipe's
    assert config["recipe"]["epochs"] == 1  # the flag's

    # What follows is told before anything is loaded: one line, and what to do.
    again = novicegym(*command)
    assert again.returncode == 2
    assert again.stderr.splitlines()[-1] == (
        f"novicegym: {out} holds a run; go on with --resume, or choose another --out"
    )
    other = novicegym(*command, "--set", "seed=1", "--resume")
    assert other.returncode == 2
    assert "other settings (held_out, recipe.seed, trained_on)" in other.stderr.splitlines()[-1]
    assert novicegym(*command, "--resume").returncode == 0

    unnamed = novicegym("rollout", "--agent", "hf:", "--out", tmp_path / "none")
    assert "unknown agent 'hf:'" in unnamed.stderr
    # Refused once the model is loaded, for a folder that holds something else.
    rollout = ("rollout", "--agent", f"hf:{out}", "--out", tmp_path / "init")
    known = novicegym(*rollout, *COURSE)
    assert f"warning: {len(config['trained_on'])} of the " in known.stderr
    assert "Loading weights" not in known.stderr
    assert known.stderr.splitlines()[-1].endswith("choose another --out")
    unknown = novicegym(*rollout, "--split", "term:Spring 2025", "--split", "trajectories:6")
    assert "warning" not in unknown.stderr
    assert unknown.returncode == 2
