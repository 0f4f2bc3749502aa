"""Options that several commands share, and how they open a course."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.courses.model import Course

ERR = Console(stderr=True, highlight=False)

CourseSpec = Annotated[
    str,
    typer.Argument(
        metavar="COURSE",
        help="cs1, a course directory, falconcode:PATH, progsnap2:PATH or table:PATH.",
        show_default=False,
    ),
]
CourseOption = Annotated[
    str,
    typer.Option(
        "--course",
        "-c",
        help="cs1, a course directory, falconcode:PATH, progsnap2:PATH or table:PATH.",
    ),
]
Tests = Annotated[
    Path | None,
    typer.Option(
        help="JSON file with the assignments' prompts and tests "
        "(default for progsnap2: assignments.json beside the main table)."
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="For table: courses, FIELD=COLUMN, repeatable: student=SubjectID. Fields: student, "
        "assignment, code, time, order, grade, feedback, term.",
    ),
]
GradeScale = Annotated[
    float | None, typer.Option(help="For table: courses, the full mark: 1 or 100.")
]
BadRows = Annotated[
    str,
    typer.Option(
        help="error: stop at the first bad row; skip: write bad rows to a rejects file and go on."
    ),
]
Regrade = Annotated[
    bool, typer.Option("--regrade", help="Grade all submissions anew instead of trusting the log.")
]
Curate = Annotated[
    str | None,
    typer.Option(
        help="Curation steps by name, comma-separated, or a preset: paper, published. "
        "`novicegym course curate --list` explains them."
    ),
]
Split = Annotated[
    str | None,
    typer.Option(help="A part of the course: 'term:Fall 2024', 'students:0.2:seed=0:rest', ..."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def open_course(
    spec: str,
    *,
    tests: Path | None = None,
    columns: list[str] | None = None,
    grade_scale: float | None = None,
    bad_rows: str = "error",
    regrade: bool = False,
    curate: str | None = None,
    split: str | None = None,
    quiet: bool = False,
) -> Course:
    """Load, re-grade, curate and split a course, in this order; tell on stderr what was kept."""
    from novicegym.courses.load import load_with_report

    options: dict[str, object] = {}
    if tests is not None:
        options["tests"] = tests
    if columns:
        options["columns"] = parse_columns(columns)
    if grade_scale is not None:
        options["grade_scale"] = grade_scale
    course, report = load_with_report(spec, bad_rows=bad_rows, **options)
    if not quiet:
        for line in report.lines():
            ERR.print(line, markup=False)
    if regrade:
        from novicegym.grading.grader import shared_grader
        from novicegym.grading.regrade import regrade as grade_again

        with progress_bar("grading") as update:
            course = grade_again(course, shared_grader(), update)
    if curate is not None:
        from novicegym.courses.curation import curate as apply_steps

        course, curation = apply_steps(course, curate)
        if not quiet:
            print_curation(curation)
    if split is not None:
        from novicegym.courses.splits import take_split

        course = take_split(course, split)
    return course


def parse_columns(columns: list[str]) -> dict[str, str]:
    """Return {field: column} from FIELD=COLUMN texts."""
    mapping = {}
    for text in columns:
        field, equals, column = text.partition("=")
        if not (field and equals and column):
            raise UsageError(f"--column takes FIELD=COLUMN, got {text!r}")
        mapping[field] = column
    return mapping


def print_curation(report: object) -> None:
    """Print on stderr what each curation step kept."""
    from rich.table import Table

    from novicegym.courses.curation import CurationReport

    assert isinstance(report, CurationReport)
    table = Table("step", "trajectories", "submissions", "students", "assignments", "keeps")
    before = report.before
    table.add_row("(before)", *_counts(before), "")
    for step in report.steps:
        table.add_row(step.step, *_counts(step.kept), step.description)
    ERR.print(table)


def _counts(counts: object) -> tuple[str, ...]:
    from novicegym.courses.curation import Counts

    assert isinstance(counts, Counts)
    return tuple(
        f"{value:,}"
        for value in (counts.trajectories, counts.submissions, counts.students, counts.assignments)
    )


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with time left on stderr; yields update(done, total)."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR, transient=not ERR.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
