"""FalconCode in the layout of the Hub's `koutch/falcon_code`: one run per row, all joined."""

from __future__ import annotations

import re

from novicegym.courses.readers.archive import Archive
from novicegym.courses.readers.cells import as_code, as_flag, as_number, as_text, as_time
from novicegym.courses.readers.falconcode_problems import (
    Problem,
    Problems,
    as_concepts,
    as_max_score,
)
from novicegym.courses.readers.intake import Intake
from novicegym.courses.readers.records import Record, RowError, Table
from novicegym.errors import CourseError, UsageError

HUB_CONFIGS = ("submitted", "full")

TERMS = {"2": "Spring 2021", "3": "Fall 2021", "4": "Spring 2022"}
"""Terms of the courses by id: 2 to 4 are the release's first three semesters."""

_REQUIRED = (
    "problem_id",
    "course_id",
    "score",
    "concepts",
    "prompt",
    "type",
    "student_id",
    "timestamp",
    "testcase",
    "max_score",
    "exam",
    "redacted",
)


def pick_config(archive: Archive, config: str | None, intake: Intake) -> list[str]:
    """Return the files of one configuration, or all where none is to be seen in their names."""
    names = [name for name in archive.names if name.endswith((".parquet", ".csv"))]
    if not names:
        raise CourseError(
            "neither the official tables (runs.csv, ...) nor Parquet or CSV files of the Hub",
            file=str(archive.path),
        )
    of_config = {
        known: [name for name in names if re.search(rf"(?:^|/){known}(?:[^A-Za-z]|$)", name)]
        for known in HUB_CONFIGS
    }
    present = [known for known in HUB_CONFIGS if of_config[known]]
    if not present:
        if config is not None:
            raise UsageError(f"no folder or file of {archive.path} is called {config!r}")
        return names
    chosen = config or present[0]
    if chosen not in present:
        raise UsageError(
            f"{archive.path} has no configuration {chosen!r}, but {', '.join(present)}"
        )
    if config is None and len(present) > 1:
        intake.note(f"of the configurations {', '.join(present)} {chosen!r} is read")
    return of_config[chosen]


def read_run_rows(table: Table, problems: Problems) -> None:
    """Read one table of runs into the intake of `problems`."""
    code = "original_source_code" if problems.choices.original_code else "source_code"
    table.require(code, *_REQUIRED)
    for record in table.rows:
        try:
            _take(record, code, problems)
        except RowError as bad:
            problems.intake.reject(record, bad)


def _take(record: Record, code: str, problems: Problems) -> None:
    student = record.key("student_id", "student")
    course = record.key("course_id", "course")
    problem = Problem(
        id=record.key("problem_id", "assignment"),
        course=course,
        prompt=record.get("prompt", as_text).strip() if record.has("prompt") else "",
        script=record.get("testcase", as_text) if record.has("testcase") else "",
        max_score=record.get("max_score", as_max_score),
        kind=record.get("type", as_text).strip().lower() if record.has("type") else "unknown",
        exam=record.has("exam") and record.get("exam", as_flag),
        concepts=record.get("concepts", as_concepts),
    )
    problems.add(problem)
    problems.take_run(
        student=student,
        problem_id=problem.id,
        term=TERMS.get(course, f"course {course}"),
        at=record.get("timestamp", as_time),
        score=record.get("score", as_number) if record.has("score") else None,
        max_score=problem.max_score,
        redacted=record.has("redacted") and record.get("redacted", as_flag),
        code=problems.intake.add_code(record.get(code, as_code)),
    )
