"""A cache that is one SQLite file: how it is opened, what its errors mean; the verdicts' tables."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

SCHEMA_VERSION = 1
"""Raised whenever the tables or the encoding of a row change."""

BUSY_SECONDS = 5.0
"""How long to wait for another process's commit: each takes milliseconds."""
FAILURES = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What the use of a file may raise; the last where SQLite's own message quotes a damaged file."""
_LOG_BYTES = 8 * 1024 * 1024

# AUTOINCREMENT: an id that was given once never means another task, so readers may remember it.
TABLES = (
    """CREATE TABLE tasks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest BLOB NOT NULL UNIQUE,
        suite BLOB NOT NULL,
        version BLOB NOT NULL,
        limits BLOB NOT NULL,
        outline BLOB NOT NULL,
        assignment BLOB NOT NULL,
        checksum INTEGER NOT NULL
    )""",
    """CREATE TABLE verdicts (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        task INTEGER NOT NULL,
        at INTEGER NOT NULL,
        verdict BLOB NOT NULL,
        code BLOB NOT NULL,
        checksum INTEGER NOT NULL
    )""",
    "CREATE INDEX verdicts_of_task ON verdicts (task)",
)


class NoStoreError(sqlite3.DatabaseError):
    """The file is a database, but no store of this version."""


def cache_folder(variable: str) -> Path | None:
    """Return the folder an environment variable names, or None where that is "off".

    By default it is novicegym in $XDG_CACHE_HOME or ~/.cache; None without a home directory.
    """
    wanted = os.environ.get(variable, "")
    if wanted == "off":
        return None
    try:
        if wanted:
            return Path(wanted).expanduser().absolute()
        caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # By the XDG rules a relative path there counts as unset.
        return (caches if caches.is_absolute() else Path.home() / ".cache") / "novicegym"
    except RuntimeError:  # the user has no home
        return None


def open_file(path: Path, tables: Sequence[str], version: int) -> sqlite3.Connection:
    """Open the file, made where it is missing, for its owner alone, with these tables.

    Raises NoStoreError for another program's database or version, else what is in FAILURES.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # students' programs are not for others
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return _connect(path, tables, version)
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself where two processes make one file.
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _connect(path: Path, tables: Sequence[str], version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.text_factory = bytes  # a damaged row may hold any bytes
        [(mode,)] = connection.execute("PRAGMA journal_mode = WAL")
        if mode != b"wal":
            raise sqlite3.OperationalError("no write-ahead log on this file system")
        # No fsync but when the log is copied back: a power cut may cost verdicts, not the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA trusted_schema = OFF")
        if _schema(connection) == (0, []):
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if _schema(connection) == (0, []):  # else another process was first
                    for statement in tables:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {version}")
        if _schema(connection) != (version, [table.encode() for table in tables]):
            raise NoStoreError("it is not of this version of novicegym, or damaged")
    except BaseException:
        connection.close()
        raise
    return connection


def _schema(connection: sqlite3.Connection) -> tuple[int, list[bytes]]:
    [(version,)] = connection.execute("PRAGMA user_version")
    tables = connection.execute(
        "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY rowid"
    )
    return version, [sql for (sql,) in tables]


def bytes_used(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def is_busy(error: BaseException) -> bool:
    return _error_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_no_store(error: BaseException | None) -> bool:
    if isinstance(error, NoStoreError | UnicodeDecodeError):
        return True
    # SQLITE_ERROR: our statements do not fit the tables.
    damaged = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
    return _error_code(error) in damaged


def _error_code(error: BaseException | None) -> int:
    """Return SQLite's primary result code; 0 for errors that are not SQLite's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
