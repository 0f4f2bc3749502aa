"""Answers of endpoints on disk, so that a resumed run does not pay for them again: one SQLite file.

    with open_cache(path) as cache:
        cache.put(key, answer)
        cache.get(key)

An answer is on disk when `put` returns: a killed process loses none. Processes of one machine may
share the file. A damaged row is a miss, and the next `put` repairs it. Nothing is ever thrown
out, for it has been paid. For the same reason a file that cannot be used ends the run with an
error, where the store of verdicts (`grading/store.py`) would be done without.

Not covered: network file systems, where SQLite's write-ahead log does not work.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from novicegym.errors import AgentError
from novicegym.grading.store_file import FAILURES, cache_folder, open_file
from novicegym.grading.store_rows import checksum, is_whole

_SCHEMA_VERSION = 1
_TABLE = """CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    answer BLOB NOT NULL,
    checksum INTEGER NOT NULL
)"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, and what it took."""

    text: str
    """The completion as it stands; "" where the model said nothing."""
    finish: str | None
    """The endpoint's reason why it ends: stop, length, content_filter and others."""
    refused: bool
    """Whether the model, or a filter before it, declined to answer."""
    prompt_tokens: int | None
    """None where the endpoint does not tell; so are the next two."""
    cached_tokens: int | None
    """Prompt tokens that the endpoint had read before; mostly cheaper there."""
    completion_tokens: int | None


def cache_key(request: Any) -> bytes:
    """Return the hash of all that an answer depends on: a JSON value."""
    text = json.dumps(request, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).digest()


def default_cache() -> Path | None:
    """Return the file in the folder NOVICEGYM_API_CACHE, or None where that is "off".

    By default the folder is novicegym in $XDG_CACHE_HOME or ~/.cache; without a home directory
    there is no cache.
    """
    folder = cache_folder("NOVICEGYM_API_CACHE")
    return None if folder is None else folder / "responses.sqlite"


@contextlib.contextmanager
def open_cache(path: Path) -> Iterator[ResponseCache]:
    """Open the file, made where it is missing. Raises AgentError if that cannot be."""
    with _telling(path):
        connection = open_file(path, (_TABLE,), _SCHEMA_VERSION)
    try:
        yield ResponseCache(path, connection)
    finally:
        connection.close()


class ResponseCache:
    """An open file. One thread at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    def get(self, key: bytes) -> Answer | None:
        """Return the answer put under `key`, by any process; None when there is none."""
        with _telling(self._path):
            row = self._connection.execute("SELECT * FROM answers WHERE key = ?", (key,)).fetchone()
        return Answer(**json.loads(row[3])) if row is not None and is_whole(row) else None

    def put(self, key: bytes, answer: Answer) -> None:
        """Keep an answer."""
        values = (key, int(time.time()), json.dumps(asdict(answer)).encode())
        with _telling(self._path):
            self._connection.execute(
                "INSERT OR REPLACE INTO answers (key, at, answer, checksum) VALUES (?, ?, ?, ?)",
                (*values, checksum(values)),
            )


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise AgentError(
            f"the response cache {path} cannot be used ({error}); NOVICEGYM_API_CACHE names "
            "another folder for it, or off to pay for every answer again"
        ) from error
