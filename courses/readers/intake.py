"""Where a reader puts the rows of a log: each is kept, left out for a reason, or rejected.

Kept rows are held as columns: numbers in arrays, ids and texts as numbers into lists of the
different ones. A program that is submitted a hundred times is held once, and no Python object
is held per row, so a log of 1.5 million rows fits a laptop. `finish` sorts the rows by
student and assignment, within them by order, then by their place in the log.

Repairs of programs' text, each named and counted:

- ``crlf_to_lf``: line ends CR LF become LF. To Python they are the same.
- ``drop_trailing_backslash``: a backslash at the very end of a program that does not compile
  is dropped. It is applied without being asked for only where the log itself shows that these
  backslashes are not the students': some submission that ends so and does not compile is
  logged as fully correct, and without its backslash it compiles.

Student and assignment name a trajectory. A student who meets an assignment again in a
later term is in that term another student, called STUDENT@TERM.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

import numpy as np
import pyarrow as pa

from novicegym.courses.columns import ColumnTrajectories, Int64s, group_bounds
from novicegym.courses.model import Assignment, Course
from novicegym.courses.readers.cells import as_order, as_time
from novicegym.courses.readers.records import Record, RowError
from novicegym.courses.readers.report import LeftOut, LoadReport, Rejected, Repair
from novicegym.courses.syntax import compiles
from novicegym.errors import CourseError, unknown_name

BadRows: TypeAlias = Literal["error", "skip"]

CRLF_TO_LF, DROP_TRAILING_BACKSLASH = "crlf_to_lf", "drop_trailing_backslash"
REPAIRS = (CRLF_TO_LF, DROP_TRAILING_BACKSLASH)

_EPOCH = datetime(1970, 1, 1)
_NO_TIME = np.iinfo(np.int64).min
_NOTHING = -1


class TextStore:
    """Different texts in one buffer, numbered as they come."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._buffer, self._ends = bytearray(), array("q", [0])

    def add(self, text: str) -> int:
        """Return the number of `text`, the same for equal texts."""
        encoded = text.encode()
        digest = blake2b(encoded, digest_size=16).digest()
        number = self._numbers.setdefault(digest, len(self._numbers))
        if number == len(self._ends) - 1:
            self._buffer += encoded
            self._ends.append(len(self._buffer))
        return number

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: int) -> str:
        return self._buffer[self._ends[number] : self._ends[number + 1]].decode()

    def to_arrow(self) -> pa.LargeStringArray:
        """Return all texts by number, without copying them."""
        return pa.LargeStringArray.from_buffers(
            len(self), pa.py_buffer(self._ends), pa.py_buffer(self._buffer)
        )


class Intake:
    """Collects one log. Every row goes to one of `keep`, `leave_out` and `reject`, once."""

    def __init__(
        self, source: str, *, bad_rows: BadRows, rejects: Path, repairs: Collection[str] | None
    ) -> None:
        for rule in repairs or ():
            if rule not in REPAIRS:
                raise unknown_name("repair", rule, REPAIRS)
        self._source, self._bad_rows, self._rejects = source, bad_rows, rejects
        self._wanted_repairs = repairs
        self._codes, self._feedbacks = TextStore(), TextStore()
        self._students: dict[str, int] = {}
        self._assignments: dict[str, int] = {}
        self._terms: dict[str, int] = {}
        self._student, self._assignment, self._term = array("i"), array("i"), array("i")
        self._order, self._at = array("q"), array("q")
        self._code, self._feedback, self._grade = array("i"), array("i"), array("d")
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._left_out_keys: dict[tuple[str, str], set[tuple[str, str]]] = {}
        self._rejected: Counter[tuple[str, str, str]] = Counter()
        self._rejected_log_rows = 0
        self._rejects_stream: TextIO | None = None
        self._notes: list[str] = []

    def add_code(self, text: str) -> int:
        """Return the number of a program's text, to keep rows with."""
        return self._codes.add(text)

    def keep(
        self,
        *,
        student: str,
        assignment: str,
        code: int,
        term: str | None = None,
        order: int = 0,
        at: datetime | None = None,
        grade: float | None = None,
        feedback: str | None = None,
    ) -> None:
        """Keep a row. Rows of a trajectory are sorted by `order`, equal ones stay as they come."""
        self._student.append(_number(self._students, student))
        self._assignment.append(_number(self._assignments, assignment))
        self._term.append(_NOTHING if term is None else _number(self._terms, term))
        self._order.append(order)
        self._at.append(_NO_TIME if at is None else microseconds(at))
        self._code.append(code)
        self._grade.append(float("nan") if grade is None else grade)
        self._feedback.append(_NOTHING if feedback is None else self._feedbacks.add(feedback))

    def leave_out(
        self, reason: str, subject: str = "", trajectory: tuple[str, str] | None = None
    ) -> None:
        """Count a well-formed row that is no part of the course; `trajectory` if all of it is."""
        self._left_out[reason, subject] += 1
        if trajectory is not None:
            self._left_out_keys.setdefault((reason, subject), set()).add(trajectory)

    def reject(self, record: Record, bad: RowError, *, log_row: bool = True) -> None:
        """Raise CourseError for a bad row or, where bad rows are skipped, write it down."""
        reason = f"{bad.reason}; {bad.remedy}" if bad.remedy else bad.reason
        if self._bad_rows == "error":
            raise CourseError(
                # Where another option would make the rows good, setting them aside loses them.
                reason if bad.remedy else f"{reason} (--bad-rows skip sets such rows aside)",
                file=record.file,
                row=record.row,
                field=bad.field,
                value=bad.value,
            )
        if self._rejects_stream is None:
            self._rejects_stream = self._rejects.open("w", encoding="ascii", newline="\n")
        document = {
            "file": record.file,
            "row": record.row,
            "field": bad.field,
            "value": bad.value,
            "reason": reason,
            "record": dict(record.values),
        }
        # As ASCII: bytes that are no UTF-8 stay visible as escapes.
        self._rejects_stream.write(json.dumps(document, default=str) + "\n")
        self._rejected[record.file, bad.field, reason] += 1
        self._rejected_log_rows += log_row

    def note(self, text: str) -> None:
        """Tell the user of a choice."""
        self._notes.append(text)

    def close(self) -> None:
        """Close the rejects file."""
        if self._rejects_stream is not None:
            self._rejects_stream.close()

    def finish(self, name: str, assignments: Mapping[str, Assignment]) -> tuple[Course, LoadReport]:
        """Return what was kept as a course, and the report. Raises CourseError if it is nothing."""
        left_out = tuple(
            LeftOut(
                *key,
                rows=rows,
                trajectories=len(self._left_out_keys[key]) if key in self._left_out_keys else None,
            )
            for key, rows in sorted(self._left_out.items())
        )
        rows_read = len(self._order) + sum(self._left_out.values()) + self._rejected_log_rows
        if not self._order:
            reasons = "; ".join(
                f"{out.rows:,} {out.reason} {out.subject}".strip() for out in left_out
            )
            raise CourseError(
                f"none of {rows_read:,} rows is a submission to keep"
                + (f": left out {reasons}" if reasons else "")
                + (f": rejected {self._rejected_log_rows:,}" if self._rejected_log_rows else ""),
                file=self._source,
            )
        codes, repairs = self._repaired()
        names = self._separate_terms()
        trajectories = self._sorted(names, codes)
        report = LoadReport(
            source=self._source,
            rows_read=rows_read,
            submissions=len(self._order),
            trajectories=len(trajectories),
            students=len(set(self._student)),
            assignments=len(assignments),
            left_out=left_out,
            rejected=tuple(
                Rejected(*key, rows=rows) for key, rows in sorted(self._rejected.items())
            ),
            rejected_log_rows=self._rejected_log_rows,
            rejects_file=str(self._rejects) if self._rejected else None,
            repairs=repairs,
            notes=tuple(self._notes),
        )
        return Course(name, assignments, trajectories), report

    def _repaired(self) -> tuple[pa.LargeStringArray, tuple[Repair, ...]]:
        """Return the programs after repair, by number, and what was done."""
        dangling, crlf = [], set()
        for number in range(len(self._codes)):
            text = self._codes[number]
            if "\r\n" in text:
                crlf.add(number)
            if text.endswith("\\") and not compiles(text):
                dangling.append(number)
        uses = np.bincount(np.asarray(self._code), minlength=len(self._codes))
        correct = set(np.asarray(self._code)[np.asarray(self._grade) == 1].tolist())
        proofs = [n for n in dangling if n in correct and compiles(self._codes[n][:-1])]
        if self._wanted_repairs is None:
            asked = {CRLF_TO_LF} | ({DROP_TRAILING_BACKSLASH} if proofs else set())
            why = f"{len(proofs):,} such programs are logged as correct"
        else:
            asked, why = set(self._wanted_repairs), "asked for"
        affected = {
            CRLF_TO_LF: crlf if CRLF_TO_LF in asked else set(),
            DROP_TRAILING_BACKSLASH: set(dangling) if DROP_TRAILING_BACKSLASH in asked else set(),
        }
        if any(affected.values()):
            repaired = TextStore()
            numbers = np.empty(len(self._codes), dtype=np.int32)
            for number in range(len(self._codes)):
                text = self._codes[number]
                if number in affected[DROP_TRAILING_BACKSLASH]:
                    text = text[:-1]
                if number in affected[CRLF_TO_LF]:
                    text = text.replace("\r\n", "\n")
                numbers[number] = repaired.add(text)
            self._code = array("i", numbers[np.asarray(self._code)].tolist())
            self._codes = repaired
        descriptions = {
            CRLF_TO_LF: "line ends CR LF to LF",
            DROP_TRAILING_BACKSLASH: f"a last backslash that Python rejects, dropped; {why}",
        }
        counts = {rule: int(uses[sorted(texts)].sum()) for rule, texts in affected.items()}
        return self._codes.to_arrow(), tuple(
            Repair(rule, counts[rule], descriptions[rule]) for rule in REPAIRS if counts[rule]
        )

    def _separate_terms(self) -> list[str]:
        """Give a student another number in a term where an assignment comes again; all names."""
        names, terms = list(self._students), list(self._terms)
        student, term = np.array(self._student), np.asarray(self._term)
        keys = np.stack([student, np.asarray(self._assignment), term], axis=1)
        distinct, first_rows = np.unique(keys, axis=0, return_index=True)
        first_terms: dict[tuple[int, int], int] = {}
        again: set[tuple[int, int]] = set()
        for who, assignment, when in distinct[np.argsort(first_rows)].tolist():
            if first_terms.setdefault((who, assignment), when) != when:
                again.add((who, when))
        taken = set(names)
        for who, when in sorted(again):
            name = f"{names[who]}@{'no term' if when == _NOTHING else terms[when]}"
            while name in taken:
                name += "'"
            taken.add(name)
            student[(np.asarray(self._student) == who) & (term == when)] = len(names)
            names.append(name)
        if again:
            self._student = array("i", student.tolist())
            self.note(
                f"students who met an assignment again in another term are other students there: "
                f"{len(again):,}, such as {names[-1]!r}"
            )
        return names

    def _sorted(self, students: Sequence[str], codes: pa.LargeStringArray) -> ColumnTrajectories:
        student = _ranks(students)[np.asarray(self._student)]
        assignment = _ranks(self._assignments)[np.asarray(self._assignment)]
        rows = np.lexsort((np.asarray(self._order), assignment, student))
        student, assignment = student[rows], assignment[rows]
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (np.diff(student) != 0) | (np.diff(assignment) != 0)
        starts = np.append(np.flatnonzero(new), len(rows)).astype(np.int64)
        at = np.asarray(self._at)[rows]
        grade = np.asarray(self._grade)[rows]
        table = pa.table(
            {
                "student_id": _texts(np.asarray(self._student)[rows], pa.array(students)),
                "assignment_id": _texts(
                    np.asarray(self._assignment)[rows], pa.array(list(self._assignments))
                ),
                "term": _texts(
                    np.asarray(self._term)[rows], pa.array(list(self._terms), pa.string())
                ),
                "at": pa.array(at, mask=at == _NO_TIME).view(pa.timestamp("us")),
                "code": _texts(np.asarray(self._code)[rows], codes),
                "logged_grade": pa.array(grade, mask=np.isnan(grade)),
                "logged_feedback": _texts(
                    np.asarray(self._feedback)[rows], self._feedbacks.to_arrow()
                ),
            }
        )
        return ColumnTrajectories(TableGroups(table, starts, group_bounds(starts)))


@dataclass(frozen=True, slots=True)
class TableGroups:
    """Row groups of a table in memory."""

    table: pa.Table
    trajectory_starts: Int64s
    group_starts: Int64s

    def read(self, group: int) -> pa.Table:
        """Return one group's rows, a view."""
        begin, end = self.group_starts[group : group + 2].tolist()
        return self.table.slice(begin, end - begin)


def microseconds(at: datetime) -> int:
    """Return a naive time as microseconds since 1970, to sort by."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def read_place(record: Record, order: str | None, time: str | None) -> tuple[int, datetime | None]:
    """Return what a row is sorted by, its order else its time, and its time.

    Without an order column the time must be there; beside one it may be blank. Raises RowError.
    """
    at = None
    if time is not None and (order is None or record.has(time)):
        at = record.get(time, as_time)
    if order is not None:
        return record.get(order, as_order), at
    return (0 if at is None else microseconds(at)), at


def _number(numbers: dict[str, int], name: str) -> int:
    return numbers.setdefault(name, len(numbers))


def _ranks(names: Iterable[str]) -> Int64s:
    """Return for each number the place of its name in sorted order."""
    listed = list(names)
    ranks = np.empty(len(listed), dtype=np.int64)
    ranks[sorted(range(len(listed)), key=listed.__getitem__)] = np.arange(len(listed))
    return ranks


def _texts(numbers: Any, texts: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers == _NOTHING), texts)
