"""`novicegym course ...`: look at logs, convert them, curate them, make the embedded course."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from novicegym.cli.options import (
    ERR,
    OUT,
    BadRows,
    Columns,
    CourseSpec,
    Json,
    LogOptions,
    ReaderOptions,
    Regrade,
    Rejects,
    Split,
    Tests,
    print_curation,
    progress_bar,
    takes_logs,
)
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.courses.model import Assignment, Course
    from novicegym.courses.stats import StatsRow
    from novicegym.eval.process import ProcessStats

app = typer.Typer(help="Look at logs, convert and curate them.", no_args_is_help=True)


@app.command("ls")
def ls(as_json: Json = False) -> None:
    """List what COURSE can be."""
    from novicegym.courses.load import COURSE_FORMS

    if as_json:
        print(json.dumps(COURSE_FORMS, indent=2))
        return
    table = Table("COURSE", "what it is")
    for form, description in COURSE_FORMS.items():
        table.add_row(form, description)
    OUT.print(table)


@app.command("show")
def show(
    spec: CourseSpec,
    assignment: Annotated[
        str | None, typer.Argument(help="Show this assignment's prompt and tests.")
    ] = None,
    tests: Tests = None,
    columns: Columns = None,
    reader: ReaderOptions = None,
    as_json: Json = False,
) -> None:
    """Show a course's assignments, or one assignment's prompt and tests."""
    course = LogOptions(tests=tests, columns=columns, reader=reader).open(spec, quiet=True)
    if assignment is not None:
        _show_assignment(course.assignment(assignment), as_json)
        return
    rows = [
        {
            "id": a.id,
            "title": a.title,
            "lesson": a.lesson,
            "kind": a.kind,
            "entry_point": a.entry_point,
            "tests": len(a.tests.cases) or "script",
            "solutions": len(a.solutions),
        }
        for a in course.assignments.values()
    ]
    if as_json:
        print(json.dumps({"course": course.name, "assignments": rows}, indent=2))
        return
    table = Table(*rows[0], title=_title(course)) if rows else Table(title=_title(course))
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    OUT.print(table)


@app.command("stats")
@takes_logs
def stats(
    spec: CourseSpec,
    logs: LogOptions,
    assignments: Annotated[
        bool, typer.Option("--assignments", help="Also the same numbers for each assignment.")
    ] = False,
    process: Annotated[
        bool,
        typer.Option(
            "--process",
            help="Also how students proceed: outcomes, transitions, edits (grades everything).",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the paper's Table 1 for a course: lengths are in submissions."""
    from novicegym.courses.stats import course_stats

    course = logs.open(spec, quiet=as_json)
    numbers = course_stats(course)
    if as_json:
        document = numbers.to_json()
        if process:
            document["process"] = _process(course).to_json()
        print(json.dumps(document, indent=2))
        return
    OUT.print(_stats_table(_title(course), [*numbers.terms, numbers.total]))
    if assignments:
        OUT.print(_stats_table("by assignment", numbers.assignments))
    if process:
        for line in _process(course).lines():
            print(line)


@app.command("convert")
@takes_logs
def convert(
    spec: CourseSpec,
    out: Annotated[Path, typer.Argument(help="Course directory to write.", show_default=False)],
    logs: LogOptions,
) -> None:
    """Write a course directory, which opens at once and streams from disk."""
    from novicegym.courses.store import save_course

    course = logs.open(spec)
    save_course(course, out)
    ERR.print(f"wrote {len(course.trajectories):,} trajectories to {out}")


@app.command("curate")
def curate(
    spec: Annotated[
        str | None, typer.Argument(metavar="COURSE", help="The course to curate.")
    ] = None,
    out: Annotated[
        Path | None, typer.Argument(help="Course directory to write; nothing is written without.")
    ] = None,
    steps: Annotated[
        str, typer.Option(help="Steps by name, comma-separated, or a preset: paper, published.")
    ] = "paper",
    list_steps: Annotated[bool, typer.Option("--list", help="Explain all steps.")] = False,
    tests: Tests = None,
    columns: Columns = None,
    reader: ReaderOptions = None,
    bad_rows: BadRows = "error",
    rejects: Rejects = None,
    regrade: Regrade = False,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Cut a course down by named steps and print what each kept."""
    from novicegym.courses.curation import curate as apply_steps
    from novicegym.courses.curation import describe_steps
    from novicegym.courses.store import save_course

    if list_steps:
        table = Table("step", "keeps")
        for usage, description in describe_steps():
            table.add_row(usage, description)
        OUT.print(table)
        return
    if spec is None:
        raise UsageError("name the course to curate: novicegym course curate COURSE [OUT]")
    logs = LogOptions(
        tests=tests,
        columns=columns,
        reader=reader,
        bad_rows=bad_rows,
        rejects=rejects,
        regrade=regrade,
        split=split,
    )
    course = logs.open(spec, quiet=as_json)
    kept, report = apply_steps(course, steps)
    if as_json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print_curation(report)
    if out is not None:
        save_course(kept, out)
        ERR.print(f"wrote {len(kept.trajectories):,} trajectories to {out}")


@app.command("make")
def make(
    name: Annotated[str, typer.Argument(help="The embedded course to make: cs1.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated students.")] = 0,
    students: Annotated[
        int | None, typer.Option(min=1, help="Only the first STUDENTS students (default: all).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Course directory to write (default: NAME-SEED here).")
    ] = None,
) -> None:
    """Simulate the embedded course's students.

    Seed 0 gives the shipped files byte for byte.
    """
    from novicegym.courses.store import save_course
    from novicegym.eval.simulate import simulate_course

    if name != "cs1":
        raise UsageError(f"the only course that can be made is 'cs1', got {name!r}")
    target = out if out is not None else Path(f"{name}-{seed}")
    with progress_bar("simulating") as update:
        course = simulate_course(
            seed, students=None if students is None else range(students), progress=update
        )
    save_course(course, target)
    ERR.print(f"wrote {len(course.trajectories):,} trajectories to {target}")


def _process(course: Course) -> ProcessStats:
    from novicegym.eval.process import process_stats

    with progress_bar("grading") as update:
        return process_stats(course, progress=update)


def _title(course: Course) -> str:
    return course.name + (" (synthetic)" if course.synthetic else "")


def _show_assignment(assignment: Assignment, as_json: bool) -> None:
    from novicegym.courses.suite import suite_to_json
    from novicegym.envs.render import printable

    suite = suite_to_json(assignment.tests)
    if as_json:
        document = {
            "id": assignment.id,
            "title": assignment.title,
            "prompt": assignment.prompt,
            "entry_point": assignment.entry_point,
            "tests": suite,
            "solutions": list(assignment.solutions),
        }
        print(json.dumps(document, indent=2))
        return
    OUT.rule(f"{assignment.title} ({assignment.id})")
    print(printable(assignment.prompt))
    OUT.rule("tests")
    print(json.dumps(suite, indent=2))


def _stats_table(title: str, rows: list[StatsRow] | tuple[StatsRow, ...]) -> Table:
    columns = ("", "#Traj", "#Stud", "#Succ", "#Fail", "#Unknown", "#Asg", "#Sub", "Avg. Len")
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(
            row.label or "(no term)",
            *(
                f"{value:,}"
                for value in (
                    row.trajectories,
                    row.students,
                    row.succeeded,
                    row.failed,
                    row.unknown,
                    row.assignments,
                    row.submissions,
                )
            ),
            "-" if row.mean_length is None else f"{row.mean_length:.2f}",
        )
    return table
