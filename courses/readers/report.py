"""What became of every row of a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Well-formed rows that are no part of the course."""

    reason: str
    """For example "event" or "assignment without tests"."""
    subject: str
    """Which event, which assignment; may be empty."""
    rows: int
    trajectories: int | None = None
    """How many trajectories were left out whole; None where the reason is about single rows."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A named change made to programs' text."""

    rule: str
    submissions: int
    description: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bad rows of one file with one fault."""

    file: str
    field: str
    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Counts of one loading: rows_read == submissions + left out + rejected rows of the log."""

    source: str
    rows_read: int
    """Rows of the log itself; side tables (code states, problems) are not counted."""
    submissions: int
    """Rows kept."""
    trajectories: int
    students: int
    assignments: int
    left_out: tuple[LeftOut, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    """Empty unless bad rows are skipped."""
    rejected_log_rows: int = 0
    """Those of the rejected rows that are rows of the log."""
    rejects_file: str | None = None
    repairs: tuple[Repair, ...] = ()
    notes: tuple[str, ...] = ()
    """Choices the reader made that the numbers above do not show."""

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        lines = [
            f"{self.source}: {_count(self.rows_read, 'row')} read, "
            f"{_count(self.submissions, 'submission')} kept in "
            f"{_count(self.trajectories, 'trajectory')} of {_count(self.students, 'student')} "
            f"on {_count(self.assignments, 'assignment')}"
        ]
        for out in self.left_out:
            what = f"{out.reason} {out.subject}".strip()
            whole = (
                "" if out.trajectories is None else f" in {_count(out.trajectories, 'trajectory')}"
            )
            lines.append(f"left out: {_count(out.rows, 'row')}{whole}: {what}")
        lines += [
            f"repaired: {_count(repair.submissions, 'submission')}: {repair.rule}, "
            f"{repair.description}"
            for repair in self.repairs
        ]
        lines += [
            f"rejected: {_count(bad.rows, 'row')} of {bad.file}: field {bad.field!r} {bad.reason}"
            for bad in self.rejected
        ]
        if self.rejects_file is not None:
            lines.append(f"rejected rows are in {self.rejects_file}")
        return lines + [f"note: {note}" for note in self.notes]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {
            "source": self.source,
            "rows_read": self.rows_read,
            "submissions": self.submissions,
            "trajectories": self.trajectories,
            "students": self.students,
            "assignments": self.assignments,
            "left_out": [
                {
                    "reason": out.reason,
                    "subject": out.subject,
                    "rows": out.rows,
                    "trajectories": out.trajectories,
                }
                for out in self.left_out
            ],
            "rejected": [
                {"file": bad.file, "field": bad.field, "reason": bad.reason, "rows": bad.rows}
                for bad in self.rejected
            ],
            "rejected_log_rows": self.rejected_log_rows,
            "rejects_file": self.rejects_file,
            "repairs": [
                {
                    "rule": repair.rule,
                    "submissions": repair.submissions,
                    "description": repair.description,
                }
                for repair in self.repairs
            ],
            "notes": list(self.notes),
        }


def _count(number: int, noun: str) -> str:
    if number != 1:
        noun = noun.removesuffix("y") + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun}"
