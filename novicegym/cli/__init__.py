"""The command line: `novicegym --help`.

Covered: exit codes and error lines. Exit 0: done; 1: `grade` found the program not fully
correct, `sandbox check` or `cache verify` found something, or the reader of our output went
away; 2: a wrong path, name, option or row, told in one line; 3: the grading infrastructure
failed; 130: interrupted, with everything finished kept.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from novicegym import __version__
from novicegym.cli import (
    cache,
    compare,
    course,
    demo,
    grade,
    model,
    play,
    report,
    rollout,
    sandbox,
    table,
    train,
    tutor,
)
from novicegym.errors import AgentError, GraderError, NovicegymError

app = typer.Typer(
    name="novicegym",
    help=(
        "Artificial programming students from course logs.\n\n"
        "Start with `novicegym demo`, or with your own logs:\n\n"
        "    novicegym course stats progsnap2:PATH\n\n"
        "    novicegym rollout --course progsnap2:PATH --agent persistence --out runs/p\n\n"
        "    novicegym table runs/p"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None: ...


app.add_typer(course.app, name="course")
app.add_typer(model.app, name="model")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(cache.app, name="cache")
app.add_typer(tutor.app, name="tutor")
app.command("grade")(grade.grade)
app.command("rollout")(rollout.rollout)
app.command("table")(table.table)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("train")(train.train)
app.command("play")(play.play)
app.command("demo")(demo.demo)


_INTERRUPTED = 130
_GO_ON = {
    "rollout": "the same command goes on",
    "tutor": "the same command goes on",
    "train": "the same command with --resume goes on",
}
"""After an interruption, by the command."""


def main() -> None:
    """Run the command line and exit."""
    try:
        app()
    except NovicegymError as error:
        _tell(str(error))
        sys.exit(3 if isinstance(error, GraderError | AgentError) else 2)
    except OSError as error:  # a path that cannot be read or written; typer keeps EPIPE itself
        _tell(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(2)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # typer turns Ctrl-C into a silent exit
            how = next((f": {_GO_ON[word]}" for word in sys.argv[1:2] if word in _GO_ON), "")
            print(f"novicegym: interrupted; what was finished is kept{how}", file=sys.stderr)
        raise


def _tell(message: str) -> None:
    from novicegym.envs.render import printable

    # A message may quote a log: it is one line, and cannot drive the terminal.
    print(f"novicegym: {printable(' '.join(message.split()))}", file=sys.stderr)
