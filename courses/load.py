"""Open a course by what the user calls it.

    cs1               the embedded course, synthetic
    PATH              a course directory (`novicegym.courses.store`)
    falconcode:PATH   FalconCode, official tables or Hub layout (`readers.falconcode`)
    progsnap2:PATH    a ProgSnap2 data set (`readers.progsnap2`)
    table:PATH        any table of submissions (`readers.table`)

Raw logs are read at each loading; `save_course` makes a directory of them that opens at once.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Collection
from importlib.resources import files
from pathlib import Path
from typing import Any

from novicegym.courses.model import Assignment, Course
from novicegym.courses.readers.falconcode import read_falconcode
from novicegym.courses.readers.intake import BadRows, Intake
from novicegym.courses.readers.progsnap2 import MAIN_TABLE, read_progsnap2
from novicegym.courses.readers.records import SUFFIXES
from novicegym.courses.readers.report import LoadReport
from novicegym.courses.readers.table import read_table_course
from novicegym.courses.store import COURSE_FILE, open_course, read_counts
from novicegym.errors import UsageError, unknown_name

logger = logging.getLogger(__name__)

EMBEDDED = ("cs1",)
READERS: dict[str, Callable[..., tuple[str, dict[str, Assignment]]]] = {
    "falconcode": read_falconcode,
    "progsnap2": read_progsnap2,
    "table": read_table_course,
}

COURSE_FORMS = {
    "cs1": "the embedded course; its students are synthetic",
    "DIRECTORY": "a course directory, as `novicegym course convert` writes it",
    "falconcode:PATH": "FalconCode: the official CSV tables, or the Hub layout koutch/falcon_code",
    "progsnap2:PATH": "ProgSnap2: a directory or zip, tests in a JSON file",
    "table:PATH": "any table of submissions: CSV, JSONL or Parquet, with a column mapping",
}
"""How a course can be named, and what each form opens."""

_RAW_OPTIONS = ("bad_rows", "rejects", "repairs", "name")


def load_course(spec: str | os.PathLike[str], *, bad_rows: str = "error", **options: Any) -> Course:
    """Open a course; what was left out, repaired or rejected is logged line by line.

    Takes what `load_with_report` takes.
    """
    course, report = load_with_report(spec, bad_rows=bad_rows, **options)
    for line in report.lines():
        logger.info("%s", line)
    return course


def load_with_report(
    spec: str | os.PathLike[str],
    *,
    bad_rows: str = "error",
    rejects: str | os.PathLike[str] | None = None,
    repairs: Collection[str] | None = None,
    name: str | None = None,
    **options: Any,
) -> tuple[Course, LoadReport]:
    """Open a course and say what became of every row of the log.

    Args:
        spec: See the module.
        bad_rows: "error" stops at the first bad row with a CourseError that names it; "skip"
            writes bad rows to a rejects file, one JSON object each, and goes on.
        rejects: The rejects file (default: INPUT.rejects.jsonl in the current directory).
        repairs: Name or names of the repairs to make (`readers.intake`); None makes those that
            cannot be wrong: crlf_to_lf, and drop_trailing_backslash where the log proves it.
        name: The course's name (default: after the input).
        options: What the reader takes: `tests`, and what is the format's own.

    Raises:
        UsageError: no such course, path or option.
        CourseError: bad data.
    """
    if bad_rows not in ("error", "skip"):
        raise unknown_name("way to treat bad rows", bad_rows, ("error", "skip"))
    scheme, colon, path = os.fspath(spec).partition(":")
    if not (isinstance(spec, str) and colon and scheme in READERS):
        given = [*options, *_given(rejects=rejects, repairs=repairs, name=name)]
        folder = _stored_folder(spec)
        if given:
            raise UsageError(
                f"{given[0]} is an option of {', '.join(f'{known}:PATH' for known in READERS)}, "
                f"not of the course {os.fspath(spec)!r}"
            )
        course, counts = open_course(folder), read_counts(folder)
        return course, LoadReport(
            source=os.fspath(spec),
            rows_read=counts["submissions"],
            submissions=counts["submissions"],
            trajectories=counts["trajectories"],
            students=counts["students"],
            assignments=counts["assignments"],
        )
    reader = READERS[scheme]
    known = list(inspect.signature(reader).parameters)[2:]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {scheme}:PATH", option, (*known, *_RAW_OPTIONS))
    if rejects is None:
        rejects = f"{Path(path).stem or scheme}.rejects.jsonl"
    mode: BadRows = "skip" if bad_rows == "skip" else "error"
    if isinstance(repairs, str):
        repairs = (repairs,)
    intake = Intake(os.fspath(spec), bad_rows=mode, rejects=Path(rejects), repairs=repairs)
    try:
        own_name, assignments = reader(path, intake, **options)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None
    finally:
        intake.close()
    return intake.finish(name or own_name, assignments)


def _stored_folder(spec: str | os.PathLike[str]) -> Path:
    if spec in EMBEDDED:
        return Path(str(files("novicegym.courses"))) / str(spec)
    folder, text = Path(spec), os.fspath(spec)
    is_path = folder.exists() or ":" not in text
    if is_path and folder.name == MAIN_TABLE:
        raise UsageError(
            f"{text} is a table of a ProgSnap2 data set: call that progsnap2:{folder.parent}"
        )
    if is_path and folder.suffix.lower() in SUFFIXES and not folder.is_dir():
        state = "no course directory" if folder.exists() else "no course: no such file"
        raise UsageError(f"{text} is {state}; a table of submissions is called table:{text}")
    if not folder.exists():
        scheme = text.partition(":")[0]
        if "/" in text and scheme == text:
            raise UsageError(f"no course at {text}: no such directory. {_forms()}")
        error = unknown_name("course", scheme, (*EMBEDDED, *READERS))
        raise UsageError(f"{error}. {_forms()}")
    if (folder / MAIN_TABLE).exists():
        raise UsageError(f"{folder} is a ProgSnap2 data set: call it progsnap2:{folder}")
    if not (folder / COURSE_FILE).exists():
        raise UsageError(f"{folder} is no course directory: it has no {COURSE_FILE}. {_forms()}")
    return folder


def _forms() -> str:
    schemes = ", ".join(f"{scheme}:PATH" for scheme in READERS)
    return f"A course is {', '.join(EMBEDDED)}, a course directory, {schemes}"


def _given(**options: object) -> list[str]:
    return [name for name, value in options.items() if value is not None]
