"""The rows of the verdict store: verdicts and requests as bytes and back, and their checksums."""

from __future__ import annotations

import functools
import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from hashlib import blake2b
from typing import Any, NamedTuple

from novicegym.courses.assignment_lines import assignment_from_json, assignment_to_json
from novicegym.courses.model import Assignment
from novicegym.grading.limits import Limits
from novicegym.grading.verdict import CaseResult, Verdict


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """What a verdict was given on: enough to grade it again."""

    assignment: Assignment
    digest: bytes
    """Hash of the part of the assignment that verdicts depend on: its suite."""
    code: str
    limits: Limits
    version: str
    """The grader's version text."""


class Entry(NamedTuple):
    """A verdict that waits to be committed."""

    verdict: Verdict
    request: StoredRequest
    task: bytes
    outline: bytes
    body: bytes
    code: bytes


def new_entry(verdict: Verdict, request: StoredRequest) -> Entry:
    """Return the verdict as it will be written."""
    outline = _json_bytes([(case.name, case.call, case.expected) for case in verdict.cases])
    limits = _limits_bytes(request.limits)
    # The first solution may set the CPU limit: assignments that differ there are two tasks.
    solution = "".join(request.assignment.solutions[:1]).encode("utf-8", "surrogatepass")
    shared = (request.version.encode(), limits, request.digest, outline, solution)
    return Entry(
        verdict,
        request,
        blake2b(b"\0".join(shared), digest_size=16).digest(),
        outline,
        _encode_verdict(verdict),
        zlib.compress(request.code.encode("utf-8", "surrogatepass"), 1),
    )


SELECT_ONE = "SELECT * FROM verdicts WHERE key = ?"
# Whoever comes later replaces: a row that is there already is the same, or damaged.
INSERT_VERDICT = (
    "INSERT OR REPLACE INTO verdicts (key, task, at, verdict, code, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)


def task_id(connection: sqlite3.Connection, entry: Entry) -> int:
    """Return the id of what the entry shares with others, after writing it where it is new."""
    row = connection.execute("SELECT * FROM tasks WHERE digest = ?", (entry.task,)).fetchone()
    if row is not None and is_whole(row):
        return int(row[0])
    request = entry.request
    values = (
        entry.task,
        request.digest,
        request.version.encode(),
        _limits_bytes(request.limits),
        entry.outline,
        zlib.compress(_json_bytes(assignment_to_json(request.assignment))),
    )
    cursor = connection.execute(
        "INSERT OR REPLACE INTO tasks"
        " (digest, suite, version, limits, outline, assignment, checksum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*values, checksum(values)),
    )
    return int(cursor.lastrowid or 0)


def checksum(values: Iterable[Any]) -> int:
    total = 0
    for value in values:
        total = zlib.crc32(value if type(value) is bytes else b"%d" % value, total)
    return total


def is_whole(row: tuple[Any, ...]) -> bool:
    """Whether a row, from its id to its checksum, is as it was written."""
    try:
        return bool(checksum(row[1:-1]) == row[-1])
    except TypeError:  # the damage is in a value's type
        return False


def _json_bytes(value: object) -> bytes:
    # Not as ASCII: two lone surrogates side by side would come back as one character.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def from_json_bytes(text: bytes) -> Any:
    return json.loads(str(text, "utf-8", "surrogatepass"))


@functools.lru_cache
def _limits_bytes(limits: Limits) -> bytes:
    return _json_bytes(asdict(limits))


def _encode_verdict(verdict: Verdict) -> bytes:
    """Return the verdict without its outline: what the cases share with other verdicts."""
    cases = [(case.passed, case.outcome, case.actual, case.error) for case in verdict.cases]
    grade = (verdict.grade.numerator, verdict.grade.denominator)
    rest = (verdict.outcome, verdict.message, verdict.stable)
    return zlib.compress(_json_bytes((*grade, *rest, cases)), 1)


def decode_verdict(body: bytes, outline: list[list[str]]) -> Verdict:
    above, below, outcome, message, stable, cases = from_json_bytes(zlib.decompress(body))
    results = [
        CaseResult(name, passed, kind, call, expected, actual, error)
        for (name, call, expected), (passed, kind, actual, error) in zip(
            outline, cases, strict=True
        )
    ]
    return Verdict(Fraction(above, below), outcome, tuple(results), message, stable)


class Task:
    """What many entries share, decoded once."""

    def __init__(self, row: tuple[Any, ...]) -> None:
        _, _, self.suite, version, limits, outline, assignment, _ = row
        self.version = str(version, "utf-8")
        self.limits = Limits(**from_json_bytes(limits))
        self.outline = from_json_bytes(outline)
        self.assignment = assignment_from_json(from_json_bytes(zlib.decompress(assignment)))

    def decode(self, row: tuple[Any, ...]) -> tuple[Verdict, StoredRequest]:
        code = str(zlib.decompress(row[5]), "utf-8", "surrogatepass")
        request = StoredRequest(self.assignment, self.suite, code, self.limits, self.version)
        return decode_verdict(row[4], self.outline), request
