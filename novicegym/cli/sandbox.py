"""`novicegym sandbox check`: how strong the sandbox is on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from novicegym.cli.options import Json, progress_bar

if TYPE_CHECKING:
    from novicegym.grading.check import SandboxReport

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

    Also says how strong the sandbox is (its rung), which rung is required, and so whether
    grading is allowed here.

    Harmless: attacks aim at files, processes and ports made for them, and one that would harm the
    machine where a layer is missing is left out. Exit code 1 when anything got through.
    """
    from novicegym.grading.check import check_sandbox

    with progress_bar("attacking") as update:
        report = check_sandbox(only=only, progress=update)
    if as_json:
        results = [asdict(result) for result in report.results]
        document = {
            "rung": report.rung,
            "required": report.required,
            "grading_allowed": report.grading_allowed,
            "layers": report.layers,
            "results": results,
        }
        print(json.dumps(document, indent=2))
    else:
        _print(report)
    if report.breaches:
        raise typer.Exit(1)


def _print(report: SandboxReport) -> None:
    from novicegym.envs.render import printable

    source = "from NOVICEGYM_SANDBOX" if os.environ.get("NOVICEGYM_SANDBOX") else "the default"
    print(f"rung in force: {report.rung}")
    print(f"required rung: {report.required} ({source})")
    print(f"grading allowed: {'yes' if report.grading_allowed else 'no'}")
    print(f"layers: {', '.join(report.layers) or 'none'}")
    for status, found in (("got through", report.breaches), ("not tried", report.not_tried)):
        for result in found:
            print(printable(f"{status}: {result.name}: {result.tries}"))
            print(printable(f"    {result.detail[:500]}"))
    stopped = len(report.results) - len(report.breaches) - len(report.not_tried)
    print(f"{stopped} of {len(report.results)} attacks stopped")
