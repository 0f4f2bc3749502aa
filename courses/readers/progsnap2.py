"""`progsnap2:PATH`: a ProgSnap2 data set, as a directory or a zip.

Read: `DatasetMetadata.csv`, `MainTable.csv`, and the code states as a table
(`CodeStates/CodeStates.csv`) or as directories (`CodeStates/<CodeStateID>/<file>`).

- Submissions are the `Submit` events, and those of `Run.Program` and `Compile` that `events`
  names. An `X-HintRequest` holds the code at the request, not an attempt, so it never is one;
  it is left out and counted, as all other events are (`readers.hint_requests` reads those).
- Grade: `Score` (0 to `grade_scale`) where there is one, else `Correct` (TRUE/FALSE/NA or
  1/0); each also under an `X-` name.
- Order: `Order` where there is such a column, else `ServerTimestamp`, else `ClientTimestamp`.
- Assignment: `ProblemID`, else `AssignmentID`. Term: `TermID`, else `CourseID`.
- Tests come from a JSON file (`novicegym.courses.readers.assignments`), by default
  `assignments.json` beside the main table. Trajectories of an assignment without tests are
  left out and counted by assignment.

Not covered: link tables (ignored), resources, code states in Git or SQLite.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from novicegym.courses.model import Assignment
from novicegym.courses.readers.archive import Archive
from novicegym.courses.readers.assignments import open_assignments, read_assignments
from novicegym.courses.readers.cells import (
    CellError,
    as_code,
    as_flag,
    as_grade,
    as_text,
    check_grade_scale,
)
from novicegym.courses.readers.intake import Intake, read_place
from novicegym.courses.readers.records import Record, RowError, Table, read_table
from novicegym.errors import CourseError, UsageError, unknown_name

MAIN_TABLE = "MainTable.csv"
METADATA = "DatasetMetadata.csv"
CODE_STATES = "CodeStates/CodeStates.csv"
DEFAULT_TESTS = "assignments.json"
OPTIONAL_EVENTS = ("Run.Program", "Compile")
HINT_REQUEST = "X-HintRequest"

_TIMES = ("ServerTimestamp", "ClientTimestamp")
_PROBLEMS = ("ProblemID", "AssignmentID")
_TERMS = ("TermID", "X-TermID", "CourseID")
_SCORES = ("Score", "X-Score")
_FLAGS = ("Correct", "X-Correct")


def read_progsnap2(
    path: str,
    intake: Intake,
    *,
    tests: str | os.PathLike[str] | None = None,
    events: Collection[str] = (),
    grade_scale: float = 1.0,
) -> tuple[str, dict[str, Assignment]]:
    """Read the data set at `path` into `intake`; return the course's name and assignments.

    Args:
        tests: JSON file with the assignments' prompts and tests.
        events: Event types that are submissions beside Submit: Run.Program, Compile.
        grade_scale: The full mark of `Score`.
    """
    return read_events(
        path, intake, submission_events(events), tests=tests, grade_scale=grade_scale
    )


def read_events(
    path: str,
    intake: Intake,
    kept: Collection[str],
    *,
    tests: str | os.PathLike[str] | None,
    grade_scale: float,
) -> tuple[str, dict[str, Assignment]]:
    """As `read_progsnap2`, but keep the event types `kept`, whatever they are.

    A row that is kept and is a HINT_REQUEST has no grade, and the event type for its feedback.
    """
    check_grade_scale(grade_scale)
    if not Path(path).exists():
        raise UsageError(f"no ProgSnap2 data set at {path}: no such directory or zip")
    archive = Archive(Path(path))
    assignments = _read_tests(archive, tests)
    states = _CodeStates(archive, intake)
    name = archive.label(MAIN_TABLE)
    with archive.open(MAIN_TABLE) as stream:
        table = read_table(name, MAIN_TABLE, stream)
        main = _MainTable(table, set(kept), assignments, states, intake, grade_scale)
        for record in table.rows:
            try:
                main.take(record)
            except RowError as bad:
                intake.reject(record, bad)
    if not main.kept and main.could_keep:
        raise UsageError(
            f"{name} has no Submit events, but {', '.join(sorted(main.could_keep))}: "
            f"give events={sorted(main.could_keep)} to take these for submissions"
        )
    return Path(path).stem, assignments


def submission_events(events: Collection[str]) -> set[str]:
    """Return the event types that are submissions; UsageError for one that cannot be."""
    if isinstance(events, str):
        events = (events,)
    for event in events:
        if event == HINT_REQUEST:
            raise UsageError(
                f"{HINT_REQUEST} is not an attempt (the code at a request for a hint) and cannot "
                f"be a submission; events may hold {', '.join(OPTIONAL_EVENTS)}"
            )
        if event not in (*OPTIONAL_EVENTS, "Submit"):
            raise unknown_name("event type", event, OPTIONAL_EVENTS)
    return {"Submit", *events}


class _MainTable:
    """Which columns hold what, and what to do with a row."""

    def __init__(
        self,
        table: Table,
        events: set[str],
        assignments: dict[str, Assignment],
        states: _CodeStates,
        intake: Intake,
        grade_scale: float,
    ) -> None:
        table.require("EventType", "SubjectID", "CodeStateID")

        def first(*names: str) -> str | None:
            return next((name for name in names if name in table.columns), None)

        problem = first(*_PROBLEMS)
        if problem is None:
            raise CourseError(f"needs one of the columns {', '.join(_PROBLEMS)}", file=table.file)
        self._problem = problem
        self._order, self._time, self._term = first("Order"), first(*_TIMES), first(*_TERMS)
        self._score, self._flag = first(*_SCORES), first(*_FLAGS)
        self._section = first("CodeStateSection")
        if self._order is None and self._time is None:
            intake.note("no Order or ServerTimestamp: submissions are in the order of the table")
        self._events, self._assignments = events, assignments
        self._states, self._intake, self._grade_scale = states, intake, grade_scale
        self.kept = 0
        self.could_keep: set[str] = set()
        """Types among the events left out that could be submissions."""

    def take(self, record: Record) -> None:
        event = record.key("EventType", "event type")
        if event not in self._events:
            self._intake.leave_out("event", event)
            self.could_keep |= {event} & set(OPTIONAL_EVENTS)
            return
        student = record.key("SubjectID", "student")
        problem = record.key(self._problem, "assignment")
        if problem not in self._assignments:
            self._intake.leave_out("assignment without tests", problem, (student, problem))
            return
        place, at = read_place(record, self._order, self._time)
        asks = event == HINT_REQUEST
        self._intake.keep(
            student=student,
            assignment=problem,
            code=self._states.find(record, self._section),
            term=record.get(self._term, as_text) if self._term and record.has(self._term) else None,
            order=place,
            at=at,
            # What a log says of the code at a request was not told to the student.
            grade=None if asks else self._grade(record),
            feedback=event if asks else None,
        )
        self.kept += 1

    def _grade(self, record: Record) -> float | None:
        if self._score and record.has(self._score):
            return record.get(self._score, lambda value: as_grade(value, self._grade_scale))
        if self._flag and record.has(self._flag):
            return float(record.get(self._flag, as_flag))
        return None


class _CodeStates:
    """The programs by code state id: a table is read at once, directories as they are needed."""

    def __init__(self, archive: Archive, intake: Intake) -> None:
        self._archive, self._intake = archive, intake
        self._numbers: dict[tuple[str, str], int] = {}
        self._files: dict[str, list[str]] | None = None
        representation = _representation(archive)
        if representation == "Table":
            self._read_table()
        elif representation == "Directory":
            self._files = {}
            for name in archive.names:
                folder, _, rest = name.partition("/")
                state, _, file = rest.partition("/")
                if folder == "CodeStates" and file:
                    self._files.setdefault(state, []).append(name)
        else:
            raise UsageError(
                f"{archive.label(METADATA)}: code states in the representation "
                f"{representation!r} are not read; export them as Table or Directory"
            )

    def find(self, record: Record, section: str | None) -> int:
        """Return the number of the program of a row; raises RowError."""
        state = record.key("CodeStateID", "code state")
        if self._files is None:
            number = self._numbers.get((state, ""))
            if number is None:
                raise RowError("CodeStateID", state, "unknown code state")
            return number
        part = record.get(section, as_text) if section and record.has(section) else ""
        if (state, part) not in self._numbers:
            name = self._file(state, part)
            with self._archive.open(name) as stream:
                text = stream.read().decode("utf-8", "surrogateescape")
            try:
                self._numbers[state, part] = self._intake.add_code(as_code(text))
            except CellError as error:
                raise RowError("CodeStateID", state, f"{name}: {error}") from None
        return self._numbers[state, part]

    def _file(self, state: str, section: str) -> str:
        assert self._files is not None
        names = self._files.get(state, [])
        if not names:
            raise RowError("CodeStateID", state, "unknown code state")
        if section:
            names = [name for name in names if name == f"CodeStates/{state}/{section}"]
        elif len(names) > 1:
            names = [name for name in names if name.endswith(".py")]
        if len(names) != 1:
            found = ", ".join(name.rpartition("/")[2] for name in self._files[state])
            raise RowError("CodeStateID", state, f"cannot tell which file is meant of {found}")
        return names[0]

    def _read_table(self) -> None:
        file = self._archive.label(CODE_STATES)
        with self._archive.open(CODE_STATES) as stream:
            table = read_table(file, CODE_STATES, stream)
            table.require("CodeStateID", "Code")
            for record in table.rows:
                try:
                    state = record.key("CodeStateID", "code state")
                    number = self._intake.add_code(record.get("Code", as_code))
                    if self._numbers.setdefault((state, ""), number) != number:
                        raise RowError("CodeStateID", state, "another program has this id")
                except RowError as bad:
                    self._intake.reject(record, bad, log_row=False)


def _representation(archive: Archive) -> str:
    """Return the representation the metadata names, else the one the files show."""
    shown = "Table" if CODE_STATES in archive else "Directory"
    if METADATA not in archive:
        return shown
    with archive.open(METADATA) as stream:
        table = read_table(archive.label(METADATA), METADATA, stream)
        table.require("Property", "Value")
        values = {
            str(record.values.get("Property")): str(record.values.get("Value"))
            for record in table.rows
        }
    return values.get("CodeStateRepresentation", shown)


def _read_tests(archive: Archive, tests: str | os.PathLike[str] | None) -> dict[str, Assignment]:
    if tests is not None:
        return open_assignments(tests)
    if DEFAULT_TESTS not in archive:
        raise UsageError(
            f"ProgSnap2 has no tests in it: give tests=FILE (--tests FILE) or put "
            f"{DEFAULT_TESTS} beside {archive.label(MAIN_TABLE)}"
        )
    with archive.open(DEFAULT_TESTS) as stream:
        return read_assignments(archive.label(DEFAULT_TESTS), stream)
