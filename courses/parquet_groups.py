"""The row groups of a `submissions.parquet`, read when asked for.

Not covered: row groups that cut a trajectory; `save_course` never writes them.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from novicegym.courses.columns import SCHEMA, Int64s
from novicegym.errors import CourseError

_KEPT_GROUPS = 4


class ParquetGroups:
    """The row groups of a `submissions.parquet`, read when asked for and a few kept.

    No file stays open: each read opens the path again with the footer already parsed, so
    threads and forked processes share nothing but memory. Pickles as the path.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._metadata, self._stamp = self._read_metadata()
        self.trajectory_starts, self.group_starts = self._index()
        self._kept: dict[int, pa.Table] = {}  # the most recently used last
        self._lock, self._pid = threading.Lock(), os.getpid()

    def __reduce__(self) -> tuple[type[ParquetGroups], tuple[Path]]:
        return (ParquetGroups, (self._path,))

    def read(self, group: int) -> pa.Table:
        """Return one row group; raises CourseError if the file was changed or is damaged."""
        if self._pid != os.getpid():  # the parent may have forked while a thread held the lock
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            rows = self._kept.pop(group, None)
            if rows is not None:
                self._kept[group] = rows
        if rows is None:
            rows = self._read_group(group, SCHEMA.names)
            with self._lock:
                self._kept[group] = rows
                while len(self._kept) > _KEPT_GROUPS:
                    del self._kept[next(iter(self._kept))]
        return rows

    def _read_metadata(self) -> tuple[pq.FileMetaData, tuple[int, int]]:
        try:
            stamp = self._path.stat()
            metadata = pq.read_metadata(self._path)
        except FileNotFoundError:
            raise CourseError("no such file", file=str(self._path)) from None
        except (OSError, pa.ArrowException) as error:
            raise CourseError(f"not a Parquet file: {_line(error)}", file=str(self._path)) from None
        schema = metadata.schema.to_arrow_schema()
        for field in SCHEMA:
            if field.name not in schema.names or schema.field(field.name).type != field.type:
                raise CourseError(
                    f"the column is missing or not of type {field.type}",
                    file=str(self._path),
                    field=field.name,
                )
        return metadata, (stamp.st_size, stamp.st_mtime_ns)

    def _index(self) -> tuple[Int64s, Int64s]:
        starts, bounds = [np.empty(0, dtype=np.int64)], [0]
        for group in range(self._metadata.num_row_groups):
            order = self._read_group(group, ["order"]).column("order").to_numpy()
            begins = np.flatnonzero(order == 0)
            numbered = len(order) > 0 and begins.size > 0 and begins[0] == 0
            steps = np.diff(order)
            if not numbered or np.any(steps[order[1:] != 0] != 1):
                raise CourseError(
                    f"row group {group} does not number whole trajectories from 0; "
                    "write the file with save_course",
                    file=str(self._path),
                    field="order",
                )
            starts.append(begins + bounds[-1])
            bounds.append(bounds[-1] + len(order))
        starts.append(np.array([bounds[-1]]))
        return np.concatenate(starts), np.array(bounds, dtype=np.int64)

    def _read_group(self, group: int, columns: list[str]) -> pa.Table:
        try:
            stamp = self._path.stat()
            if (stamp.st_size, stamp.st_mtime_ns) != self._stamp:
                raise CourseError("the file changed since it was opened", file=str(self._path))
            with pq.ParquetFile(
                self._path, metadata=self._metadata, page_checksum_verification=True
            ) as file:
                # One thread: Arrow's pool does not survive a fork.
                return file.read_row_group(group, columns=columns, use_threads=False)
        except FileNotFoundError:
            raise CourseError("no such file", file=str(self._path)) from None
        except (OSError, pa.ArrowException) as error:
            raise CourseError(
                f"row group {group} is damaged: {_line(error)}", file=str(self._path)
            ) from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
