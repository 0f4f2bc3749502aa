"""`table:PATH`: any log with one submission per row, as CSV, TSV, JSONL or Parquet.

Columns are named by the user or found by their usual names. Needed: student, assignment, code.
Rows are ordered by the order column, else by time, else as they lie in the file. The tests come
from a JSON file (`novicegym.courses.readers.assignments`).

Not covered: several tables that must be joined.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from novicegym.courses.model import Assignment
from novicegym.courses.readers.assignments import open_assignments
from novicegym.courses.readers.cells import (
    as_code,
    as_grade_or_flag,
    as_text,
    check_grade_scale,
)
from novicegym.courses.readers.intake import Intake, read_place
from novicegym.courses.readers.records import Record, RowError, read_table
from novicegym.errors import CourseError, UsageError, unknown_name

USUAL_NAMES = {
    "student": ("student_id", "student", "user_id", "user", "subject_id", "subjectid", "learner"),
    "assignment": (
        "assignment_id",
        "assignment",
        "problem_id",
        "problemid",
        "problem",
        "exercise_id",
        "exercise",
        "task_id",
        "task",
    ),
    "code": ("code", "source_code", "source", "program", "submission"),
    "order": ("order", "attempt", "submission_number"),
    "time": ("timestamp", "time", "submitted_at", "created_at", "servertimestamp", "at", "date"),
    "grade": ("grade", "score", "logged_grade"),
    "feedback": ("feedback", "logged_feedback"),
    "term": ("term", "semester"),
}
"""What a field's column is called when the user does not say; capitals do not matter."""

_NEEDED = ("student", "assignment", "code")


def read_table_course(
    path: str,
    intake: Intake,
    *,
    tests: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    grade_scale: float = 1.0,
) -> tuple[str, dict[str, Assignment]]:
    """Read the table at `path` into `intake`; return the course's name and assignments.

    Args:
        tests: JSON file with the assignments' prompts and tests; needed.
        columns: {field: column}, fields being the keys of `USUAL_NAMES`.
        grade_scale: The full mark. Grades may also be TRUE and FALSE.
    """
    if tests is None:
        raise UsageError(
            "a table brings no tests: give tests=FILE (--tests FILE), a JSON list of assignments "
            'such as [{"assignment_id": "add", "prompt": "...", "entry_point": "add", '
            '"cases": [{"args": [1, 2], "expected": 3}]}]'
        )
    check_grade_scale(grade_scale)
    assignments = open_assignments(tests)
    if not Path(path).is_file():
        raise UsageError(f"no table at {path}: no such file")
    with Path(path).open("rb") as stream:
        table = read_table(path, path, stream)
        found = _find_columns(table.file, table.columns, columns or {})
        if "order" not in found and "time" not in found:
            intake.note("no order or time column: submissions are in the order of the file")
        for record in table.rows:
            try:
                _keep(record, found, assignments, grade_scale, intake)
            except RowError as bad:
                intake.reject(record, bad)
    return Path(path).stem, assignments


def _find_columns(file: str, present: Sequence[str], wanted: Mapping[str, str]) -> dict[str, str]:
    for field, column in wanted.items():
        if field not in USUAL_NAMES:
            raise unknown_name("field", field, USUAL_NAMES)
        if column not in present:
            raise unknown_name("column", column, present)
    by_lower_case = {column.lower(): column for column in reversed(present)}
    found = {
        field: by_lower_case[name]
        for field, names in USUAL_NAMES.items()
        if field not in wanted
        for name in reversed(names)
        if name in by_lower_case
    } | dict(wanted)
    missing = [field for field in _NEEDED if field not in found]
    if missing:
        flags = " ".join(f"--column {field}=COLUMN" for field in missing)
        mapping = ", ".join(f"{field!r}: COLUMN" for field in missing)
        raise CourseError(
            f"no column for the {', the '.join(missing)}; it has {', '.join(present)}. "
            f"Name {'it' if len(missing) == 1 else 'them'}: {flags} (columns={{{mapping}}})",
            file=file,
        )
    return found


def _keep(
    record: Record,
    columns: Mapping[str, str],
    assignments: Mapping[str, Assignment],
    grade_scale: float,
    intake: Intake,
) -> None:
    student = record.key(columns["student"], "student")
    assignment = record.key(columns["assignment"], "assignment")
    if assignment not in assignments:
        raise RowError(columns["assignment"], assignment, "the tests have no such assignment")
    place, at = read_place(record, columns.get("order"), columns.get("time"))
    grade, feedback, term = columns.get("grade"), columns.get("feedback"), columns.get("term")
    intake.keep(
        student=student,
        assignment=assignment,
        code=intake.add_code(record.get(columns["code"], as_code)),
        term=record.get(term, as_text) if term and record.has(term) else None,
        order=place,
        at=at,
        grade=record.get(grade, lambda value: as_grade_or_flag(value, grade_scale))
        if grade and record.has(grade)
        else None,
        feedback=record.get(feedback, as_text) if feedback and record.has(feedback) else None,
    )
