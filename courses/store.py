"""A course on disk: a directory of `course.json`, `assignments.jsonl`, `submissions.parquet`.

Covered: writing any course as a stream (memory grows with the number of trajectories, not
with their text), replacing files by rename so that a reader never sees half a file, equal
bytes for equal content and pyarrow version, and opening a course of any size at once: only the
`order` column is read, one row group is decoded when a trajectory in it is asked for, and the
last few groups are kept. An opened course is safe to share among threads, to fork and to
pickle (as its path).

Not covered: appending; keeping time zones (a time with a zone is stored as UTC); row groups
that cut a trajectory, which `save_course` never writes and `open_course` refuses.
"""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from novicegym.courses.assignment_lines import assignment_to_json, parse_assignments
from novicegym.courses.columns import (
    GROUP_ROWS,
    SCHEMA,
    ColumnTrajectories,
    is_unicode,
    naive_time,
)
from novicegym.courses.model import Course, Trajectory
from novicegym.courses.parquet_groups import ParquetGroups
from novicegym.errors import CourseError, UsageError

FORMAT = "novicegym-course"
VERSION = 1
COURSE_FILE, ASSIGNMENTS_FILE, SUBMISSIONS_FILE = (
    "course.json",
    "assignments.jsonl",
    "submissions.parquet",
)
_COMPRESSION_LEVEL = 12  # on the embedded course 19 is 10 % smaller and nine times slower

_COUNTED = ("assignments", "students", "trajectories", "submissions")

Columns: TypeAlias = dict[str, list[Any]]


def save_course(course: Course, directory: str | os.PathLike[str]) -> None:
    """Write `course` as a course directory, replacing the one that is there.

    All three files are written apart first and renamed into place, `course.json` last; other
    files in the directory stay. A course may be saved over the directory it is read from.
    Raises UsageError for a folder that holds other things and no course, and CourseError for
    data a directory cannot hold: a trajectory without submissions, of an unknown assignment or
    with the key of another; a grade outside [0, 1]; text that is not Unicode (lone surrogates).
    """
    target = Path(directory)
    if target.exists() and not target.is_dir():
        raise CourseError("not a directory; a course is saved as one", file=str(target))
    apart = target.absolute().parent / f".{target.absolute().name}.{os.getpid()}.tmp"
    try:
        if target.exists() and not (target / COURSE_FILE).exists() and any(target.iterdir()):
            raise UsageError(
                f"{target} is neither empty nor a course directory (it has no {COURSE_FILE}): "
                "save the course in a folder of its own"
            )
        apart.mkdir(parents=True)
        _write_assignments(course, apart / ASSIGNMENTS_FILE)
        counts = _write_submissions(course, apart / SUBMISSIONS_FILE)
        document = {
            "format": FORMAT,
            "version": VERSION,
            "name": course.name,
            "synthetic": course.synthetic,
            "counts": {"assignments": len(course.assignments), **counts},
        }
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (apart / COURSE_FILE).write_bytes(_encode(text, "name"))
        if not target.exists():
            apart.rename(target)
        else:
            for name in (SUBMISSIONS_FILE, ASSIGNMENTS_FILE, COURSE_FILE):
                os.replace(apart / name, target / name)
    except OSError as error:
        raise CourseError(f"cannot be written: {error.strerror}", file=str(target)) from None
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def open_course(directory: str | os.PathLike[str]) -> Course:
    """Open a course directory; its trajectories stay on disk until asked for.

    Raises CourseError naming the file that is missing, damaged or does not fit the others.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise CourseError("no such course directory", file=str(folder))
    document = _read_document(folder / COURSE_FILE)
    assignments = parse_assignments(
        _read_bytes(folder / ASSIGNMENTS_FILE).splitlines(), str(folder / ASSIGNMENTS_FILE)
    )
    groups = ParquetGroups(folder / SUBMISSIONS_FILE)
    found = {
        "assignments": len(assignments),
        "trajectories": len(groups.trajectory_starts) - 1,
        "submissions": int(groups.trajectory_starts[-1]),
    }
    for what, count in found.items():
        if document["counts"][what] != count:
            raise CourseError(
                f"the directory holds {count}; its files are of different courses",
                file=str(folder / COURSE_FILE),
                field=f"counts.{what}",
                value=document["counts"][what],
            )
    return Course(
        name=document["name"],
        assignments=assignments,
        trajectories=ColumnTrajectories(groups),
        synthetic=document["synthetic"],
    )


def read_counts(directory: str | os.PathLike[str]) -> dict[str, int]:
    """Return how many assignments, students, trajectories and submissions a directory holds."""
    counts = _read_document(Path(directory) / COURSE_FILE)["counts"]
    return {what: counts[what] for what in _COUNTED}


def _write_assignments(course: Course, path: Path) -> None:
    with path.open("wb") as file:
        for key, assignment in course.assignments.items():
            if key != assignment.id:
                raise CourseError(f"the course lists assignment {assignment.id!r} as {key!r}")
            line = json.dumps(assignment_to_json(assignment), ensure_ascii=False)
            file.write(_encode(line + "\n", f"assignment {assignment.id!r}"))
        _to_disk(file)


def _write_submissions(course: Course, path: Path) -> dict[str, int]:
    keys: set[tuple[str, str]] = set()
    students: set[str] = set()
    submissions = 0
    with path.open("wb") as file:
        with pq.ParquetWriter(
            file,
            SCHEMA,
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            # Texts barely repeat within a page; as plain bytes they compress as one stream.
            use_dictionary=[name for name in SCHEMA.names if name not in ("code", "at")],
            data_page_size=16 << 20,
            write_statistics=False,
            write_page_checksum=True,
            store_schema=False,
        ) as writer:
            columns: Columns = {name: [] for name in SCHEMA.names}
            for trajectory in course.trajectories:
                _check(course, trajectory, keys)
                keys.add(trajectory.key)
                students.add(trajectory.student_id)
                submissions += len(trajectory.submissions)
                _append(columns, trajectory)
                if len(columns["order"]) >= GROUP_ROWS:
                    writer.write_table(_table(columns))
                    columns = {name: [] for name in SCHEMA.names}
            if columns["order"]:
                writer.write_table(_table(columns))
        _to_disk(file)
    return {"students": len(students), "trajectories": len(keys), "submissions": submissions}


def _check(course: Course, trajectory: Trajectory, keys: set[tuple[str, str]]) -> None:
    student, assignment = trajectory.key
    who = partial(CourseError, field="trajectory", value=trajectory.key)
    if not trajectory.submissions:
        raise who("a trajectory needs at least one submission")
    if assignment not in course.assignments:
        raise who("the course has no such assignment")
    if trajectory.key in keys:
        raise who(f"a second trajectory of student {student!r} and this assignment")
    for number, submission in enumerate(trajectory.submissions, 1):
        grade = submission.logged_grade
        if grade is not None and not 0 <= grade <= 1:
            raise CourseError(
                f"submission {number} of {trajectory.key} is graded outside [0, 1]",
                field="logged_grade",
                value=grade,
            )


def _append(columns: Columns, trajectory: Trajectory) -> None:
    count = len(trajectory.submissions)
    columns["student_id"] += [trajectory.student_id] * count
    columns["assignment_id"] += [trajectory.assignment_id] * count
    columns["term"] += [trajectory.term] * count
    columns["order"] += range(count)
    for submission in trajectory.submissions:
        columns["at"].append(None if submission.at is None else naive_time(submission.at))
        columns["code"].append(submission.code)
        columns["logged_grade"].append(submission.logged_grade)
        columns["logged_feedback"].append(submission.logged_feedback)


def _table(columns: Columns) -> pa.Table:
    try:
        return pa.table(columns, schema=SCHEMA)
    except UnicodeEncodeError:
        raise _not_unicode(columns) from None


def _not_unicode(columns: Columns) -> CourseError:
    """Say which text of the rows cannot be stored."""
    for name in ("student_id", "assignment_id", "term", "code", "logged_feedback"):
        for row, text in enumerate(columns[name]):
            if text is not None and not is_unicode(text):
                where = (columns["student_id"][row], columns["assignment_id"][row])
                number = columns["order"][row] + 1
                reason = f"submission {number} of {where} holds a lone surrogate"
                return CourseError(reason, field=name, value=text)
    raise AssertionError("called for rows that are all Unicode")


def _encode(text: str, field: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise CourseError("the text holds a lone surrogate", field=field) from None


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())  # a rename must not be on disk before what it names


def _read_document(path: Path) -> dict[str, Any]:
    fail = partial(CourseError, file=str(path))
    content = _read_bytes(path)
    try:
        document = json.loads(content)
    except ValueError as error:
        raise fail(f"not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise fail(f'not a course file: it has no "format": {FORMAT!r}')
    version = document.get("version")
    if version != VERSION:
        raise fail(f"this novicegym reads version {VERSION}", field="version", value=version)
    for field, kind in (("name", str), ("synthetic", bool), ("counts", dict)):
        if not isinstance(document.get(field), kind):
            raise fail(f"not a {kind.__name__}", field=field, value=document.get(field))
    for what in _COUNTED:
        if type(document["counts"].get(what)) is not int:
            value = document["counts"].get(what)
            raise fail("not a whole number", field=f"counts.{what}", value=value)
    return document


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CourseError(
            f"no such file; a course directory holds {COURSE_FILE}, {ASSIGNMENTS_FILE} and "
            f"{SUBMISSIONS_FILE}",
            file=str(path),
        ) from None
    except OSError as error:
        raise CourseError(f"cannot be read: {error.strerror}", file=str(path)) from None
