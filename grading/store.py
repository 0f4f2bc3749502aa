"""Verdicts on disk, under the hash of all they depend on: one SQLite file for all processes.

    store = default_store()
    if store is not None:
        store.put(key, verdict, StoredRequest(assignment, digest, code, limits, version))
        store.get(key)

Covered: threads that share a store and processes that share its file; readers never wait for
writers. A killed process loses at most its last batch of verdicts and harms nothing. Every row
has a checksum: a damaged one is a miss, and the next `put` repairs it. Above `max_mb` the oldest
verdicts go. A store that cannot be used (no space, no permission, locked, not ours) warns once
and is then silent: grading goes on without it.

Not covered: network file systems, where SQLite's write-ahead log does not work; people who may
write the file: they can put any verdict there, so a new folder is for its owner alone.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import random
import sqlite3
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from novicegym.errors import GraderError
from novicegym.grading.store_file import (
    BUSY_SECONDS,
    FAILURES,
    SCHEMA_VERSION,
    TABLES,
    NoStoreError,
    bytes_used,
    cache_folder,
    is_busy,
    is_no_store,
    open_file,
)
from novicegym.grading.store_rows import (
    INSERT_VERDICT,
    SELECT_ONE,
    Entry,
    StoredRequest,
    Task,
    checksum,
    decode_verdict,
    from_json_bytes,
    is_whole,
    new_entry,
    task_id,
)
from novicegym.grading.verdict import Verdict

__all__ = ["StoreStats", "StoredRequest", "VerdictStore", "default_store"]

_BATCH = 64
"""Verdicts of one commit while they come fast; none waits longer than `_BATCH_SECONDS` for the
next call of `get` or `put`."""
_BATCH_SECONDS = 0.5
_OUTLINES = 4_096
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store holds."""

    path: str
    entries: int
    bytes_on_disk: int
    """Of the file and of what SQLite keeps beside it while it is open."""
    suites: int
    versions: dict[str, int]
    """Entries by the version text of the grader that gave the verdict."""
    oldest: datetime | None
    newest: datetime | None


class VerdictStore:
    """Verdicts on disk under the hash of all they depend on.

    Thread-safe, and usable on both sides of a fork. Opened by the first call that needs the
    file, also after `close`.
    """

    def __init__(self, path: Path | str, *, max_mb: int = 512) -> None:
        if max_mb < 1:
            raise ValueError(f"max_mb must be at least 1, got {max_mb}")
        self.path = Path(path)
        self.max_mb = max_mb
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._waiting: dict[bytes, Entry] = {}
        self._commit_due = 0.0
        self._outlines: dict[int, list[list[str]]] = {}
        self._off = False
        _stores.add(self)

    def get(self, key: bytes) -> Verdict | None:
        """Return the verdict put under `key`, by any process; None when there is none."""
        if self._off:
            return None
        try:
            with self._lock:
                if self._waiting:
                    if (entry := self._waiting.get(key)) is not None:
                        return entry.verdict
                    if time.monotonic() >= self._commit_due:
                        self._commit()
                row = self._open().execute(SELECT_ONE, (key,)).fetchone()
                if row is None or not is_whole(row):
                    return None
                task = row[2]
                outline = self._outlines.get(task)
                if outline is None:
                    outline = self._read_outline(task)
        except FAILURES as error:
            self._give_up(error)
            return None
        return None if outline is None else decode_verdict(row[4], outline)

    def put(self, key: bytes, verdict: Verdict, request: StoredRequest) -> None:
        """Keep a verdict. Committed with others: see `flush`."""
        if self._off:
            return
        entry = new_entry(verdict, request)
        try:
            with self._lock:
                self._waiting[key] = entry
                if len(self._waiting) >= _BATCH or time.monotonic() >= self._commit_due:
                    self._commit()
        except FAILURES as error:
            self._give_up(error)

    def flush(self) -> None:
        """Commit what waits: from here on other processes see it and a kill does not lose it."""
        try:
            with self._lock:
                self._commit()
        except FAILURES as error:
            self._give_up(error)

    def close(self) -> None:
        """Commit what waits and let go of the file."""
        with self._lock:
            failure = self._disconnect()
        if failure is not None:
            self._give_up(failure)

    def __enter__(self) -> VerdictStore:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # For `novicegym cache`. These raise GraderError when the file cannot be used.

    def stats(self) -> StoreStats:
        """Count what is stored; an absent file is an empty store."""
        if not self._exists():
            return StoreStats(str(self.path), 0, 0, 0, {}, None, None)
        size = self.bytes_on_disk()  # before it is opened, which makes it larger
        with self._telling(), self._lock:
            self._commit()
            connection = self._open()
            [(entries,)] = connection.execute("SELECT count(*) FROM verdicts")
            [(suites,)] = connection.execute("SELECT count(DISTINCT suite) FROM tasks")
            [ends] = connection.execute(
                "SELECT (SELECT at FROM verdicts ORDER BY id LIMIT 1),"
                " (SELECT at FROM verdicts ORDER BY id DESC LIMIT 1)"
            )
            versions = {
                str(version, "utf-8", "replace"): count
                for version, count in connection.execute(
                    "SELECT version, sum(entries) FROM tasks JOIN"
                    " (SELECT task, count(*) AS entries FROM verdicts GROUP BY task)"
                    " ON task = tasks.id GROUP BY version ORDER BY version"
                )
            }
        oldest, newest = (None if at is None else datetime.fromtimestamp(at, UTC) for at in ends)
        return StoreStats(str(self.path), entries, size, suites, versions, oldest, newest)

    def bytes_on_disk(self) -> int:
        """Return the size of the file and of what SQLite keeps beside it while it is open."""
        size = 0
        for file in self._files():
            with self._telling(), contextlib.suppress(FileNotFoundError):
                size += file.stat().st_size
        return size

    def clear(self) -> int:
        """Remove all verdicts and return how many there were. Other processes may go on.

        A file that is damaged or no store of this version is removed; its entries count as 0.
        """
        if not self._exists():
            return 0
        with self._telling(), self._lock:
            try:
                self._commit()
                connection = self._open()
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    [(entries,)] = connection.execute("SELECT count(*) FROM verdicts")
                    connection.execute("DELETE FROM verdicts")
                    connection.execute("DELETE FROM tasks")
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                if connection.execute("PRAGMA integrity_check").fetchall() != [(b"ok",)]:
                    raise NoStoreError("it is damaged")
            except FAILURES as error:
                if not is_no_store(error):
                    raise
                self._waiting.clear()
                self._disconnect()
                for file in self._files():
                    file.unlink(missing_ok=True)
                return 0
            return int(entries)

    def check_file(self) -> list[str]:
        """Return what is wrong with the file's structure, a line each."""
        if not self._exists():
            return []
        try:
            messages = self._read("PRAGMA integrity_check")
        except GraderError as error:
            if not is_no_store(error.__cause__):
                raise
            return [str(error.__cause__)]
        return [str(message, "utf-8", "replace") for (message,) in messages if message != b"ok"]

    def damaged_rows(self, progress: Callable[[int, int], None] | None = None) -> list[str]:
        """Return the rows that do not match their checksum, a line each.

        `progress` is called with the numbers of verdicts checked and to check.
        """
        if not self._exists():
            return []
        found, tasks = [], set()
        for row in self._rows("tasks"):
            tasks.add(row[0])
            if not is_whole(row):
                found.append(f"task {row[0]} does not match its checksum")
        [(total,)] = self._read("SELECT count(*) FROM verdicts")
        for done, row in enumerate(self._rows("verdicts"), 1):
            name = row[1].hex() if isinstance(row[1], bytes) else repr(row[1])
            if not is_whole(row):
                found.append(f"verdict {name} does not match its checksum")
            elif row[2] not in tasks:
                found.append(f"verdict {name}: task {row[2]} is missing")
            if progress is not None and (done % _CHUNK == 0 or done == total):
                progress(done, total)
        return found

    def sample(
        self, count: int | None, *, versions: Collection[str], seed: int = 0
    ) -> Iterator[tuple[bytes, Verdict, StoredRequest]]:
        """Yield `count` undamaged entries of these grader versions, or all, oldest first."""
        if not self._exists():
            return
        wanted = {version.encode() for version in versions}
        tasks = {
            row[0]: Task(row) for row in self._rows("tasks") if row[3] in wanted and is_whole(row)
        }
        chosen = [
            number
            for number, task in self._read("SELECT id, task FROM verdicts ORDER BY id")
            if task in tasks
        ]
        if count is not None and count < len(chosen):
            chosen = sorted(random.Random(seed).sample(chosen, count))
        for number in chosen:
            for row in self._read("SELECT * FROM verdicts WHERE id = ?", (number,)):
                if is_whole(row):
                    yield row[1], *tasks[row[2]].decode(row)

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._telling(), self._lock:
            self._commit()
            return self._open().execute(query, values).fetchall()

    def _rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield all rows of a table by id, in pieces: a long read would hold up the log."""
        last = -1
        query = f"SELECT * FROM {table} WHERE id > ? ORDER BY id LIMIT {_CHUNK}"
        while rows := self._read(query, (last,)):
            yield from rows
            last = rows[-1][0]

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise GraderError(self._explain(error)) from error

    def _give_up(self, error: Exception) -> None:
        """Do without the store from now on, and say so once."""
        with self._lock:
            if self._off:
                return
            self._off = True
            self._waiting.clear()
            self._disconnect()
        text = f"{self._explain(error)}. Grading goes on without it."
        # Shown with the file it is about, and not with a line of ours.
        warnings.warn_explicit(text, RuntimeWarning, str(self.path), 0)

    def _explain(self, error: Exception) -> str:
        if is_no_store(error):
            advice = "if nothing else needs that file, delete it, and a new one is made"
        elif is_busy(error):
            advice = f"another process has held it for {BUSY_SECONDS:g} s: see which one hangs"
        else:
            advice = (
                "it takes a folder with space that you may write; "
                "NOVICEGYM_CACHE names another for the default store, or off"
            )
        return f"the verdict store {self.path} cannot be used ({error}): {advice}"

    def _exists(self) -> bool:
        """Whether the file is there; raises GraderError where that cannot be seen."""
        with self._telling():
            try:
                self.path.stat()
            except FileNotFoundError:
                return False
            return True

    def _files(self) -> list[Path]:
        return [self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm")]

    # What follows is called with the lock held.

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_file(self.path, TABLES, SCHEMA_VERSION)
            self._outlines.clear()
        return self._connection

    def _disconnect(self) -> Exception | None:
        """Commit and close; returns what went wrong."""
        failure: Exception | None = None
        try:
            self._commit()
        except FAILURES as error:
            failure = error
        if self._connection is not None:
            with contextlib.suppress(*FAILURES):
                self._connection.close()
            self._connection = None
        return failure

    def _commit(self) -> None:
        if self._waiting and not self._off:
            connection = self._open()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                self._make_room(connection)
                tasks: dict[bytes, int] = {}
                now = int(time.time())
                for key, entry in self._waiting.items():
                    task = tasks.get(entry.task)
                    if task is None:
                        task = tasks[entry.task] = task_id(connection, entry)
                    values = (key, task, now, entry.body, entry.code)
                    connection.execute(INSERT_VERDICT, (*values, checksum(values)))
            self._waiting.clear()
        self._commit_due = time.monotonic() + _BATCH_SECONDS

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Above the limit, delete the oldest fiftieth, or more where entries differ much in size.

        A tenth would keep other writers waiting for seconds. Freed pages are used again, so the
        file stays at the limit and never needs to shrink.
        """
        limit = self.max_mb * 1024 * 1024
        if bytes_used(connection) <= limit:
            return
        while bytes_used(connection) > 0.98 * limit:
            [(first, last)] = connection.execute("SELECT min(id), max(id) FROM verdicts")
            if first is None:
                return
            oldest = first + (last - first) // 50
            connection.execute("DELETE FROM verdicts WHERE id <= ?", (oldest,))
            connection.execute(
                "DELETE FROM tasks WHERE NOT EXISTS"
                " (SELECT 1 FROM verdicts WHERE verdicts.task = tasks.id)"
            )

    def _read_outline(self, task: int) -> list[list[str]] | None:
        row = self._open().execute("SELECT * FROM tasks WHERE id = ?", (task,)).fetchone()
        if row is None or not is_whole(row):
            return None
        if len(self._outlines) >= _OUTLINES:
            self._outlines.clear()
        outline: list[list[str]] = from_json_bytes(row[5])
        self._outlines[task] = outline
        return outline


def default_store() -> VerdictStore | None:
    """Return this process's store: in the folder $NOVICEGYM_CACHE, or None where that is "off".

    By default the file is novicegym/verdicts.sqlite in $XDG_CACHE_HOME or ~/.cache; without a
    home directory there is no store.
    """
    folder = cache_folder("NOVICEGYM_CACHE")
    return None if folder is None else _store_at(folder / "verdicts.sqlite")


@functools.cache
def _store_at(path: Path) -> VerdictStore:
    return VerdictStore(path)


# A connection must not cross a fork, not even unused: SQLite would take the parent's locks for
# the child's. So all are closed before, and each side opens its own again.

_stores: weakref.WeakSet[VerdictStore] = weakref.WeakSet()
_fork_lock = threading.Lock()
_held_for_fork: list[VerdictStore] = []


def _before_fork() -> None:
    _fork_lock.acquire()
    for store in list(_stores):
        store._lock.acquire()
        _held_for_fork.append(store)
    for store in _held_for_fork:
        store._disconnect()


def _after_fork() -> None:
    while _held_for_fork:
        _held_for_fork.pop()._lock.release()
    _fork_lock.release()


def _close_all() -> None:
    for store in list(_stores):
        store.close()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
atexit.register(_close_all)
