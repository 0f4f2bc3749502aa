"""`novicegym grade`: one program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from novicegym.cli.options import (
    ERR,
    Columns,
    CourseOption,
    Feedback,
    Json,
    LogOptions,
    ReaderOptions,
    Tests,
)
from novicegym.errors import UsageError, unknown_name


def grade(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The program; - for stdin.")],
    assignment: Annotated[
        str, typer.Option("--assignment", "-a", help="Id of the assignment.", show_default=False)
    ],
    course: CourseOption = "cs1",
    tests: Tests = None,
    columns: Columns = None,
    reader: ReaderOptions = None,
    feedback: Feedback = "full",
    twice: Annotated[
        bool,
        typer.Option(
            "--twice", help="Run the program two times, and say so when the verdicts differ."
        ),
    ] = False,
    cpu_seconds: Annotated[
        float | None,
        typer.Option(
            help="End the program after this much CPU time, 0.01 to 10, all tests together "
            "(default: ten times what the first solution needs, without one 0.5).",
            show_default=False,
        ),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(
            metavar="RUNG",
            help="Refuse to grade in a weaker sandbox than this; from the strongest: full, "
            "no-landlock, no-namespaces, limits-only, not-a-sandbox (default: $NOVICEGYM_SANDBOX, "
            "else no-namespaces). `novicegym sandbox check` says which one this machine has.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Grade one program and print the feedback. Exit 0 when fully correct, 1 when not."""
    from novicegym.envs.render import printable
    from novicegym.grading.feedback import FEEDBACK_LEVELS, render_feedback
    from novicegym.grading.grader import Grader, Limits
    from novicegym.grading.rungs import required_rung
    from novicegym.grading.store import default_store

    if feedback not in FEEDBACK_LEVELS:
        raise unknown_name("feedback level", feedback, FEEDBACK_LEVELS)
    if cpu_seconds is not None and not 0.01 <= cpu_seconds <= 10:
        raise UsageError(f"--cpu-seconds takes 0.01 to 10, got {cpu_seconds:g}")
    code = _read_program(file)
    opened = LogOptions(tests=tests, columns=columns, reader=reader).open(course, quiet=True)
    with Grader(
        workers=1,
        limits=Limits(cpu_seconds=cpu_seconds),
        store=None if twice else default_store(),  # a stored verdict would not be run at all
        require=required_rung(require),
        twice=twice,
    ) as grader:
        verdict = grader.grade(opened.assignment(assignment), code)
    if not verdict.stable:
        ERR.print("not stable: a second run of the program gave another verdict")
    if as_json:
        print(json.dumps(verdict.to_json(), indent=2))
    else:
        print(printable(render_feedback(verdict, feedback)))
    if not verdict.correct:
        raise typer.Exit(1)


def _read_program(file: str) -> str:
    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text (byte {error.start})") from None
