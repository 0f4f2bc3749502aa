"""Trajectories over Arrow columns: how submissions lie in a table, and how they come out of it.

One row is one submission. The rows of a trajectory are contiguous and numbered by `order`
from 0, so `order == 0` alone says where trajectories begin: the index is built from that
column and never touches a program's text. Rows come in groups that begin and end with a
trajectory; Python objects exist only for the trajectories asked for.

Times are naive: what the log says, or UTC where the log gives a zone.
Not covered: where the groups are stored; see `novicegym.courses.store`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from novicegym.courses.model import Submission, Trajectory

SCHEMA = pa.schema(
    [
        pa.field("student_id", pa.string(), nullable=False),
        pa.field("assignment_id", pa.string(), nullable=False),
        pa.field("term", pa.string()),
        pa.field("order", pa.int32(), nullable=False),
        pa.field("at", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("logged_grade", pa.float64()),
        pa.field("logged_feedback", pa.string()),
    ]
)

GROUP_ROWS = 4096
"""A row group ends with the first trajectory that brings it to this many rows. Random access
decodes one group, so groups are small; the text of a group is what compression sees at once."""

Int64s = npt.NDArray[np.int64]


class RowGroups(Protocol):
    """Where the rows of a course are."""

    @property
    def trajectory_starts(self) -> Int64s:
        """First row of each trajectory, and last the number of rows."""
        ...

    @property
    def group_starts(self) -> Int64s:
        """First row of each group, and last the number of rows."""
        ...

    def read(self, group: int) -> pa.Table:
        """Return one group's rows, in the columns of `SCHEMA`."""
        ...


class ColumnTrajectories(Sequence[Trajectory]):
    """A lazy sequence of the trajectories in some row groups; slices are lazy too."""

    def __init__(self, groups: RowGroups, chosen: range | None = None) -> None:
        self._groups = groups
        count = len(groups.trajectory_starts) - 1
        self._chosen = range(count) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Trajectory]: ...
    def __getitem__(self, index: int | slice) -> Trajectory | Sequence[Trajectory]:
        if isinstance(index, slice):
            return ColumnTrajectories(self._groups, self._chosen[index])
        number = self._chosen[index]
        [trajectory] = self._decode(self._group_of(number), number, number + 1)
        return trajectory

    def __iter__(self) -> Iterator[Trajectory]:
        if self._chosen.step != 1:
            yield from (self[i] for i in range(len(self)))
            return
        # Whole groups at once: converting a column costs less than converting its cells.
        number = self._chosen.start
        while number < self._chosen.stop:
            group = self._group_of(number)
            group_end = self._groups.group_starts[group + 1]
            last = int(np.searchsorted(self._groups.trajectory_starts, group_end))
            last = min(last, self._chosen.stop)
            yield from self._decode(group, number, last)
            number = last

    def _group_of(self, number: int) -> int:
        row = self._groups.trajectory_starts[number]
        return int(np.searchsorted(self._groups.group_starts, row, side="right")) - 1

    def _decode(self, group: int, first: int, last: int) -> list[Trajectory]:
        starts = (
            self._groups.trajectory_starts[first : last + 1] - self._groups.group_starts[group]
        ).tolist()
        rows = self._groups.read(group).slice(starts[0], starts[-1] - starts[0])
        columns = {name: _values(rows.column(name)) for name in _DECODED}
        submissions = [
            Submission(*fields) for fields in zip(*(columns[name] for name in _CELLS), strict=True)
        ]
        students, assignments, terms = (columns[name] for name in _KEYS)
        return [
            Trajectory(
                students[begin], assignments[begin], terms[begin], tuple(submissions[begin:end])
            )
            for begin, end in pairwise(start - starts[0] for start in starts)
        ]


_KEYS = ("student_id", "assignment_id", "term")
_CELLS = ("code", "at", "logged_grade", "logged_feedback")  # in the order of Submission's fields
_DECODED = _KEYS + _CELLS


def naive_time(at: datetime) -> datetime:
    """Return `at` without a zone: as it is when it has none, else in UTC."""
    return at if at.tzinfo is None else at.astimezone(UTC).replace(tzinfo=None)


def is_unicode(text: str) -> bool:
    """Return whether `text` can be stored: not where it holds lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def group_bounds(trajectory_starts: Int64s) -> Int64s:
    """Return where groups of at least `GROUP_ROWS` rows begin, and last the number of rows."""
    bounds = [0]
    total = int(trajectory_starts[-1])
    while bounds[-1] < total:
        end = np.searchsorted(trajectory_starts, min(bounds[-1] + GROUP_ROWS, total))
        bounds.append(int(trajectory_starts[end]))
    return np.array(bounds, dtype=np.int64)


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks])
    values: list[Any] = column.to_pylist()
    return values
