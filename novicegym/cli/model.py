"""`novicegym model init`: a model to train from scratch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from novicegym.cli.options import CourseOption, Json, LogOptions, takes_logs

app = typer.Typer(help="Make language models.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...  # else typer takes the only command for the whole group


@app.command("init")
@takes_logs
def init(
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Model directory to write.", show_default=False)
    ],
    size: Annotated[
        str, typer.Option(help="About how many parameters: 1M, 5M, 20M or 85M.")
    ] = "1M",
    course: CourseOption = "cs1",
    logs: LogOptions,
    vocabulary: Annotated[
        int, typer.Option(help="Tokens, trained on the course's texts; at least 259.")
    ] = 2048,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random weights.")] = 0,
    as_json: Json = False,
) -> None:
    """Make an untrained model and a tokenizer for a course.

    The directory is an ordinary one: whatever loads Qwen 3 models loads it. Equal course, options
    and library versions give equal files.
    """
    from novicegym.training.tiny import init_model

    read = logs.open(course, quiet=as_json)
    made = init_model(read, out, size=size, vocabulary=vocabulary, seed=seed)
    if as_json:
        print(json.dumps(asdict(made), indent=2))
        return
    print(f"parameters: {made.parameters:,}")
    print(f"vocabulary: {made.vocabulary:,}")
    print(f"path: {made.path}")
