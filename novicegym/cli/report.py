"""`novicegym report`: tables, figures, and a page to read and browse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novicegym.cli.options import OUT, Tests, progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from novicegym.courses.model import Assignment
    from novicegym.eval.report.policies import Policy


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders made by `novicegym rollout`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("report"),
    baseline: Annotated[
        str | None,
        typer.Option(
            help="The policy that the others are compared with (default: persistence where it "
            "was played, else the first).",
            show_default=False,
        ),
    ] = None,
    course: Annotated[
        str | None,
        typer.Option(
            "--course",
            "-c",
            help="Where the browser takes prompts and tests from: what the rollouts were given, "
            "and read as by them (default: cs1 where it was played, else none are shown).",
            show_default=False,
        ),
    ] = None,
    tests: Tests = None,
    episodes: Annotated[
        int, typer.Option(min=1, help="Episodes to browse, each with every policy.")
    ] = 200,
    samples: Annotated[
        int, typer.Option(min=1, help="Draws of students for each interval.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of draws and of the episodes.")] = 0,
) -> None:
    """Write report.html, table.csv, table.tex and the figures.

    The page needs no network and no other file. Runs of one agent that differ in --seed alone
    are one row; the logged students are a row of their own where they were played. No code is run.
    """
    from novicegym.eval.report.browser import browser_data
    from novicegym.eval.report.collect import collect
    from novicegym.eval.report.policies import read_policies
    from novicegym.eval.report.write import require_packages, write_report

    require_packages()
    policies, checked = read_policies(runs)
    browser = browser_data(
        policies,
        episodes=episodes,
        seed=seed,
        assignments=_assignments(course, tests, policies),
    )
    with progress_bar("report") as update:
        results = collect(
            policies,
            checked,
            baseline=baseline,
            samples=samples,
            seed=seed,
            workers=2,
            progress=update,
        )
    page = write_report(results, browser, out)
    OUT.print(f"Wrote {page}, with table.csv, table.tex and figures/ beside it")


def _assignments(
    course: str | None, tests: Path | None, policies: list[Policy]
) -> Mapping[str, Assignment] | None:
    """Return the assignments of the course, where there is one to ask."""
    from novicegym.cli.options import LogOptions
    from novicegym.courses.load import EMBEDDED
    from novicegym.eval.records import read_run

    # A run made from Python says of its source what its caller told, which may be nothing.
    sources = [read_run(run).get("source", {}) for one in policies for run in one.runs]
    if course is None:
        played = {source.get("course") for source in sources}
        if len(played) > 1 or not played <= set(EMBEDDED):
            return None
        [course] = played
    reading = {}
    if course == sources[0].get("course"):
        reading = {name: sources[0].get(name) for name in ("columns", "reader")}
    return LogOptions(tests=tests, **reading).open(course, quiet=True).assignments
