"""FalconCode's official release: five tables as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from novicegym.courses.readers.archive import Archive
from novicegym.courses.readers.cells import as_code, as_flag, as_number, as_text, as_time
from novicegym.courses.readers.falconcode_problems import Problem, Problems, as_max_score
from novicegym.courses.readers.records import Record, RowError, read_table
from novicegym.errors import CourseError

CONCEPTS = (
    "input_str",
    "input_cast",
    "output",
    "assignment",
    "conditional",
    "function_call",
    "function_def",
    "function_return",
    "loop_counting",
    "loop_until",
    "loop_elements",
    "loop_nested",
    "stat_calculate",
    "file_read",
    "file_write",
    "list",
    "list_2d",
    "dictionary",
    "item_set",
    "tuple",
)
"""Columns of the problems table that hold 1 for a concept the problem needs."""

_REQUIRED = {
    "courses": ("id", "semester", "year"),
    "problems": ("prompt", "type", "testcase"),
    "code_samples": ("hash", "source_code", "redacted"),
    "runs": ("student_id", "course_id", "problem_id", "timestamp", "score", "code_hash"),
    "students": ("id",),
}
_OPTIONAL_TABLES = ("students",)


def find_release(archive: Archive) -> dict[str, str] | None:
    """Return {table: file name}, or None when there is no table of runs."""
    found: dict[str, str] = {}
    for table in _REQUIRED:
        pattern = re.compile(rf"(?:.*[^a-z])?{table}\.csv", re.IGNORECASE)
        names = [name for name in archive.names if pattern.fullmatch(name)]
        if len(names) > 1:
            raise CourseError(
                f"several files could be the table {table}: {', '.join(names)}",
                file=str(archive.path),
            )
        if names:
            found[table] = names[0]
    if "runs" not in found:
        return None
    missing = [t for t in _REQUIRED if t not in found and t not in _OPTIONAL_TABLES]
    if missing:
        raise CourseError(
            f"the table of runs is there, but not {', '.join(f'{t}.csv' for t in missing)}",
            file=str(archive.path),
        )
    return found


def read_release(archive: Archive, files: Mapping[str, str], problems: Problems) -> None:
    """Read the five tables into the intake of `problems`."""
    intake = problems.intake

    def rows(table: str) -> Iterator[Record]:
        with archive.open(files[table]) as stream:
            opened = read_table(archive.label(files[table]), files[table], stream)
            opened.require(*_REQUIRED[table])
            yield from opened.rows

    def side_table(table: str) -> Iterator[Record]:
        """Records whose faults are those of a side table, not of the log."""
        for record in rows(table):
            if record.fault is None:
                yield record
            else:
                intake.reject(record, record.fault, log_row=False)

    terms: dict[str, str] = {}
    for record in side_table("courses"):
        try:
            terms[record.key("id", "course")] = _term(record)
        except RowError as bad:
            intake.reject(record, bad, log_row=False)
    students: set[str] | None = None
    if "students" in files:
        students = set()
        for record in side_table("students"):
            try:
                students.add(record.key("id", "student"))
            except RowError as bad:
                intake.reject(record, bad, log_row=False)
    max_scores: dict[tuple[str, str], float] = {}
    for record in side_table("problems"):
        try:
            problem = _problem(record)
            problems.add(problem)
            max_scores[problem.id, problem.course] = problem.max_score
            max_scores.setdefault((problem.id, ""), problem.max_score)
        except RowError as bad:
            intake.reject(record, bad, log_row=False)
    codes: dict[str, int] = {}
    redacted: set[str] = set()
    for record in side_table("code_samples"):
        try:
            digest = record.key("hash", "hash")
            if record.has("redacted") and record.get("redacted", as_flag):
                redacted.add(digest)
            codes[digest] = intake.add_code(record.get("source_code", as_code))
        except RowError as bad:
            intake.reject(record, bad, log_row=False)

    for record in rows("runs"):
        try:
            student = record.key("student_id", "student")
            if students is not None and student not in students:
                raise RowError("student_id", student, "not in the table of students")
            course = record.key("course_id", "course")
            if course not in terms:
                raise RowError("course_id", course, "not in the table of courses")
            problem_id = record.key("problem_id", "assignment")
            if problem_id not in problems:
                raise RowError("problem_id", problem_id, "not in the table of problems")
            digest = record.key("code_hash", "code hash")
            if digest not in codes:
                raise RowError("code_hash", digest, "not in the table of code samples")
            fallback = max_scores[problem_id, ""]
            problems.take_run(
                student=student,
                problem_id=problem_id,
                term=terms[course],
                at=record.get("timestamp", as_time),
                score=record.get("score", as_number) if record.has("score") else None,
                max_score=max_scores.get((problem_id, course), fallback),
                redacted=digest in redacted,
                code=codes[digest],
            )
        except RowError as bad:
            intake.reject(record, bad)


def _term(record: Record) -> str:
    semester = record.key("semester", "semester").strip()
    year = record.key("year", "year").strip()
    return semester if year in semester else f"{semester} {year}"


def _problem(record: Record) -> Problem:
    # The release calls it id; a table joined from it may call it problem_id.
    column = "id" if "id" in record.values else "problem_id"
    return Problem(
        id=record.key(column, "problem"),
        course=record.get("course_id", as_text) if record.has("course_id") else "",
        prompt=record.get("prompt", as_text).strip(),
        script=record.get("testcase", as_text) if record.has("testcase") else "",
        max_score=record.get("max_score", as_max_score),
        kind=record.get("type", as_text).strip().lower() if record.has("type") else "unknown",
        exam=record.has("exam") and record.get("exam", as_flag),
        concepts=tuple(name for name in CONCEPTS if record.has(name) and record.get(name, as_flag)),
    )
