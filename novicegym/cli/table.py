"""`novicegym table`: the metrics of runs, beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novicegym.cli.options import ERR, OUT, Json, progress_bar
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.eval.table import ResultTable


def table(
    runs: Annotated[list[Path], typer.Argument(help="Folders made by `novicegym rollout`.")],
    preset: Annotated[
        str,
        typer.Option(help="paper: unrounded, micro coverage; published: the released code's."),
    ] = "paper",
    by: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="A row for each kind of episode: student_success, policy_success, assignment or "
            "length (of the logged trajectory).",
        ),
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print how close each agent comes to the students.

    Cov: share of the students' submissions that the agent has a counterpart to. GP: 1 minus the
    distance of the grades. CB: CodeBLEU. Each averaged over the steps k; the degradation is
    the mean of m_k - m_1 over the later steps.
    """
    if as_json + as_csv + as_markdown > 1:
        raise UsageError("choose one of --json, --csv and --markdown")
    results = tabulate(runs, preset, by)
    if as_json:
        print(json.dumps(results.to_json(), indent=2))
    elif as_csv:
        print(results.to_csv(), end="")
    elif as_markdown:
        print(results.to_markdown())
    else:
        OUT.print(results.to_rich())


def tabulate(runs: list[Path], preset: str, by: str | None = None) -> ResultTable:
    """Return the table of runs, with CodeBLEU where it is installed."""
    from novicegym.eval.records import read_records
    from novicegym.eval.table import make_table

    tables = [read_records(run) for run in runs]
    with_codebleu = has_codebleu()
    with progress_bar("CodeBLEU") as update:
        return make_table(
            tables,
            names=list(map(str, runs)),
            preset=preset,
            by=by,
            with_codebleu=with_codebleu,
            workers=2,
            progress=update,
        )


def has_codebleu() -> bool:
    """Return whether CodeBLEU is installed; tell on stderr what is missing."""
    from novicegym.rewards.codebleu import require_codebleu

    try:
        require_codebleu()
    except UsageError as missing:
        ERR.print(f"CodeBLEU is left out: {missing}")
        return False
    return True
