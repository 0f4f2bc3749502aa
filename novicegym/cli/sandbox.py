"""`novicegym sandbox check`: how strong the sandbox is on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from novicegym.cli.options import OUT, Json, progress_bar

if TYPE_CHECKING:
    from novicegym.grading.check import AttackResult, SandboxReport

app = typer.Typer(help="Look at the sandbox that programs are graded in.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...  # else typer takes the only command for the whole group


@app.command("check")
def check(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this attack; repeatable (default: all)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the attack suite against the sandbox of this machine and print what gets through.

    Harmless: attacks aim at files, processes and ports made for them, and one that would harm the
    machine where a layer is missing is left out. Exit code 1 when anything got through.
    """
    from novicegym.grading.check import check_sandbox

    with progress_bar("attacking") as update:
        report = check_sandbox(only=only, progress=update)
    if as_json:
        results = [asdict(result) for result in report.results]
        document = {"rung": report.rung, "layers": report.layers, "results": results}
        print(json.dumps(document, indent=2))
    else:
        _print(report)
    if report.breaches:
        raise typer.Exit(1)


def _print(report: SandboxReport) -> None:
    from novicegym.envs.render import printable

    OUT.print(f"rung: {report.rung}")
    OUT.print(f"layers: {', '.join(report.layers) or 'none'}")
    for title, found in (("got through", report.breaches), ("not tried", report.not_tried)):
        if found:
            table = Table("attack", "tries", "detail", title=title, show_lines=True)
            for result in found:
                table.add_row(*(printable(text) for text in _row(result)))
            OUT.print(table)
    stopped = len(report.results) - len(report.breaches) - len(report.not_tried)
    OUT.print(f"{stopped} of {len(report.results)} attacks stopped")


def _row(result: AttackResult) -> tuple[str, str, str]:
    return result.name, result.tries, result.detail[:500]
