"""`novicegym train`: one command a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as Grid

from novicegym.cli.options import (
    ERR,
    OUT,
    CourseOption,
    LogOptions,
    pairs,
    progress_bar,
    takes_logs,
)


@takes_logs
def train(
    *,
    stage: Annotated[
        str,
        typer.Argument(
            help="base: the course's correct programs; sft: the logged dialogs; para: the same "
            "without feedback; dpo: pairs mined from the logs; dapo: in the environment.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="What to start from: a model's directory, a hub id, or the folder of a "
            "training run (default: the recipe's).",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            help="A YAML file, or one that ships: qwen3-4b, qwen3-8b, qwen3-4b-published, "
            "qwen3-8b-published, small, tiny.",
            show_default=False,
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One value over the recipe's, repeatable: learning_rate=5e-5. --show lists all.",
        ),
    ] = None,
    chair: Annotated[
        str,
        typer.Option(
            "--chair",
            help="Who is trained: student, or tutor (sft: on a tutor's messages; dapo: with a "
            "student who reads its own).",
        ),
    ] = "student",
    tutor: Annotated[
        str | None,
        typer.Option(
            "--tutor",
            help="With --chair tutor, sft: whose messages are learnt (default: the recipe's).",
            show_default=False,
        ),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(
            "--student",
            help="With --chair tutor, dapo: the agent that reads the messages; it does not "
            "learn (default: the recipe's).",
            show_default=False,
        ),
    ] = None,
    tutor_reward: Annotated[
        str | None,
        typer.Option(
            "--tutor-reward",
            metavar="SPEC",
            help="With --chair tutor, dapo: a name, or names and weights as JSON (default: the "
            "recipe's).",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the stage's recipe, explained, and do nothing.")
    ] = False,
    course: CourseOption = "cs1",
    logs: LogOptions,
) -> None:
    """Train an artificial student, one stage after another, or a tutor.

    A chain on two CPU cores:

        novicegym model init --split 'term:Fall 2024' --size 1M --out runs/init

        novicegym train base -r tiny --split 'term:Fall 2024' -m runs/init -o runs/base

        novicegym train sft -r tiny --split 'term:Fall 2024' -m runs/base -o runs/sft

        novicegym train dpo -r tiny --split 'term:Fall 2024' -m runs/sft -o runs/dpo

        novicegym rollout --agent hf:runs/dpo --split 'term:Spring 2025' --out runs/dpo-rollout

    A tutor, from any model:

        novicegym train sft --chair tutor --tutor bug_hint -r tiny -m runs/base -o runs/t-sft

        novicegym train dapo --chair tutor --student novice -r tiny -m runs/t-sft -o runs/tutor
    """
    from novicegym.errors import UsageError
    from novicegym.training.recipes import explain, read_recipe

    values = pairs("--set", over)
    if model is not None:
        values["model"] = model
    name = _stage_of(stage, chair)
    others = {
        "tutor": (tutor, "sft"),
        "student": (student, "dapo"),
        "tutor_reward": (tutor_reward, "dapo"),
    }
    for key, (value, own) in others.items():
        if value is not None:
            if name != f"tutor-{own}":
                raise UsageError(
                    f"--{key.replace('_', '-')} is for {own} from the tutor's chair: "
                    f"`novicegym train {own} --chair tutor`"
                )
            values[key] = value
    wanted = read_recipe(name, recipe, values)
    if show:
        grid = Grid("key", "value", "what it is")
        for name, value, meaning in explain(wanted):
            grid.add_row(name, str(value), meaning)
        OUT.print(grid)
        return
    if out is None:
        raise UsageError("--out names the folder of the run")
    from novicegym.training.processes import is_first_process
    from novicegym.training.stages import train as run_stage
    from novicegym.training.summary import summarize

    trained = run_stage(
        wanted,
        logs.open(course, quiet=not is_first_process()),
        out,
        bar=progress_bar,
        source=logs.source(course),
        resume=resume,
    )
    if is_first_process():
        for line in summarize(out):
            ERR.print(line)
        play = "tutor compare silent" if chair == "tutor" else "rollout --agent"
        ERR.print(f"the model is in {trained}; try it: novicegym {play} hf:{out} ...")


def _stage_of(stage: str, chair: str) -> str:
    """Return the recipe's name for a stage; UsageError for a chair that it cannot be run from."""
    from novicegym.errors import UsageError, unknown_name
    from novicegym.training.recipes import STAGES

    if chair == "student":
        return stage
    if chair != "tutor":
        raise unknown_name("chair", chair, ("student", "tutor"))
    if f"tutor-{stage}" not in STAGES:
        raise UsageError(f"a tutor is trained by sft and then by dapo, got stage {stage!r}")
    return f"tutor-{stage}"
