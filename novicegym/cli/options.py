"""Options that several commands share, and how they open a course."""

from __future__ import annotations

import atexit
import functools
import inspect
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.table import Table

from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.courses.curation import Counts, CurationReport
    from novicegym.courses.model import Course

# A pipe has no width: a table must not be folded for a terminal that is not there. Without
# markup: ids, titles and terms come from a log, and "[/b]" is text there.
OUT = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
ERR = Console(
    stderr=True,
    highlight=False,
    markup=False,
    soft_wrap=True,
    width=None if sys.stderr.isatty() else 120,
)

_BETWEEN_LINES = 60.0
"""Seconds from one line of progress in a log to the next."""
_WIDE = 120
"""Columns of a terminal with room for explanations in tables."""

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
        metavar="FIELD=COLUMN",
        help="For table: courses, repeatable: student=SubjectID. Fields: student, "
        "assignment, code, time, order, grade, feedback, term.",
    ),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--reader",
        metavar="NAME=VALUE",
        help="An option of the log format, repeatable: grade_scale=100 (grades of 0 to 100), "
        "config=full or include_local_runs=true (falconcode), events=Run.Program (progsnap2).",
    ),
]
BadRows = Annotated[
    str,
    typer.Option(
        help="error: stop at the first bad row; skip: write bad rows to a rejects file and go on."
    ),
]
Rejects = Annotated[
    Path | None,
    typer.Option(help="Where --bad-rows skip writes them (default: NAME.rejects.jsonl here)."),
]
Regrade = Annotated[
    bool,
    typer.Option(
        "--regrade",
        help="Give the logs our grades before --curate looks at them. What is played or trained on "
        "is graded by us in any case.",
    ),
]
Curate = Annotated[
    str | None,
    typer.Option(
        help="Curation steps by name, comma-separated, or a preset: paper, published. "
        "`novicegym course curate --list` explains them."
    ),
]
Split = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PART",
        help="A part of the course: 'term:Fall 2024', 'students:0.2:seed=0:rest', "
        "'trajectories:100', 'assignments:ID,ID'. Repeatable: each cuts down what the one "
        "before left.",
    ),
]
Feedback = Annotated[
    str, typer.Option(help="How much the grader says: none (PARA), grade, summary or full.")
]
TutorTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="How long a tutor may take over a batch of messages; then its students go on without "
        "any, and until that call ends it is not asked again (default: as long as it takes).",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """How logs are read and cut down: each field is an option of a command that `takes_logs`."""

    tests: Tests = None
    columns: Columns = None
    reader: ReaderOptions = None
    bad_rows: BadRows = "error"
    rejects: Rejects = None
    regrade: Regrade = False
    curate: Curate = None
    split: Split = None

    def open(self, spec: str, *, quiet: bool = False) -> Course:
        """Load, re-grade, curate and split a course, in this order; tell on stderr what is kept."""
        from novicegym.courses.load import load_with_report

        options: dict[str, Any] = {
            name: _option_value(name, text) for name, text in pairs("--reader", self.reader).items()
        }
        if self.tests is not None:
            options["tests"] = self.tests
        if self.rejects is not None:
            options["rejects"] = self.rejects
        if self.columns:
            options["columns"] = pairs("--column", self.columns)
        course, report = load_with_report(spec, bad_rows=self.bad_rows, **options)
        if not quiet:
            for line in report.lines():
                ERR.print(line)
        if self.regrade:
            course = _graded_anew(course, report.submissions)
        if self.curate is not None:
            from novicegym.courses.curation import curate as apply_steps

            course, curation = apply_steps(course, self.curate)
            if not quiet:
                print_curation(curation)
        return take_splits(course, self.split)

    def source(self, spec: str) -> dict[str, object]:
        """Return what run.json says of where a course came from; files say it by their content."""
        named = {name: value for name, value in vars(self).items() if name not in _FILES}
        return {"course": spec, **named}


_FILES = ("tests", "rejects")


def takes_logs(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of LogOptions in place of its parameter `logs`.

    typer reads a command's signature and knows no groups of options.
    """
    own = inspect.signature(command, eval_str=True).parameters
    hints = get_type_hints(LogOptions, include_extras=True)
    shared = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=hints[one.name],
        )
        for one in fields(LogOptions)
    ]
    parameters: list[inspect.Parameter] = []
    for name, parameter in own.items():
        if name == "logs":
            parameters += shared
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        logs = LogOptions(**{name: values.pop(name) for name in hints})
        command(**values, logs=logs)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def take_splits(course: Course, selectors: list[str] | None) -> Course:
    """Return the part of the course that all selectors, one after another, leave."""
    from novicegym.courses.splits import take_split

    for selector in selectors or ():
        course = take_split(course, selector)
    return course


def _graded_anew(course: Course, submissions: int) -> Course:
    """Return the course with our grades, kept on disk: it may be larger than the memory."""
    from novicegym.courses.store import open_course as open_directory
    from novicegym.courses.store import save_course
    from novicegym.grading.grader import shared_grader
    from novicegym.grading.regrade import regrade

    folder = Path(tempfile.mkdtemp(prefix="novicegym-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with progress_bar("grading") as update:
        graded = regrade(course, shared_grader(), lambda done: update(done, submissions))
        save_course(graded, folder / "course")
    return open_directory(folder / "course")


def pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    """Return {name: value} from NAME=VALUE texts."""
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} takes NAME=VALUE, got {text!r}")
        if name in pairs:
            raise UsageError(f"{option} {name}=... is given twice: {pairs[name]!r} and {value!r}")
        pairs[name] = value
    return pairs


def _option_value(name: str, text: str) -> bool | float | str:
    if name in ("spec", "tests", "columns", "bad_rows", "rejects"):
        raise UsageError(f"--reader takes the options of a log format; {name!r} is none of them")
    if name != "grade_scale":
        return text == "true" if text in ("true", "false") else text
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--reader grade_scale takes a number, got {text!r}") from None


def print_curation(report: CurationReport) -> None:
    """Print on stderr what each curation step kept."""
    # What the steps keep is said where there is room; `course curate --list` says it, too.
    wide = ERR.width >= _WIDE
    names = ["step", "trajectories", "submissions", "students", "assignments"]
    table = Table(*names, *(["keeps"] if wide else []))
    table.add_row("(before)", *_counts(report.before))
    for step in report.steps:
        table.add_row(step.step, *_counts(step.kept), *([step.description] if wide else []))
    ERR.print(table)


def _counts(counts: Counts) -> tuple[str, ...]:
    return tuple(
        f"{value:,}"
        for value in (counts.trajectories, counts.submissions, counts.students, counts.assignments)
    )


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with time left on stderr; yields update(done, total).

    Where stderr is no terminal it is a line a minute.
    """
    if not ERR.is_terminal:
        yield _Lines(what)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Lines:
    """Says in a log how far something is, once in a while."""

    def __init__(self, what: str) -> None:
        self._what, self._begun = what, time.monotonic()
        self._next = self._begun + _BETWEEN_LINES

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _BETWEEN_LINES
        minutes = (now - self._begun) / 60
        ERR.print(f"{self._what}: {done:,} of {total:,} after {minutes:.0f} minutes")
