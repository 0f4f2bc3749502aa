"""Rows of CSV, JSONL and Parquet files, one at a time, with the numbers people find them by.

Row numbers start at 1. In a CSV the header is row 1 and a record is a row however many lines
its quoted text covers, as a spreadsheet counts; in JSONL a row is a line; in Parquet a record.

Bytes that are not UTF-8 come through as lone surrogates, so that the row that has them can
be named; `cells` refuses them where the value is used. A record that cannot be split into
fields carries its fault and no values.

Not covered: other encodings, other separators than comma (tab in .tsv), compressed CSV.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from novicegym.courses.readers.cells import CellError, as_blank, as_text
from novicegym.errors import CourseError

T = TypeVar("T")

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_BATCH_ROWS = 4096


class RowError(Exception):
    """A row of a log that cannot be used: which field, its value, why, and what would help."""

    def __init__(self, field: str, value: object, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.field, self.value, self.reason, self.remedy = field, value, reason, remedy


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file."""

    file: str
    row: int
    values: Mapping[str, Any]
    fault: RowError | None = None
    """Why the row could not be split into fields."""

    def has(self, column: str | None) -> bool:
        """Return whether there is such a column with a value that is not blank."""
        return column is not None and not as_blank(self.values.get(column))

    def get(self, column: str, read: Callable[[Any], T]) -> T:
        """Return the value of a column as `read` gives it; raises RowError."""
        if self.fault is not None:
            raise self.fault
        value = self.values.get(column)
        try:
            return read(value)
        except CellError as error:
            raise RowError(column, value, str(error), error.remedy) from None

    def key(self, column: str, what: str) -> str:
        """Return an id, which must be there; raises RowError."""
        if self.fault is None and as_blank(self.values.get(column)):
            raise RowError(column, self.values.get(column), f"no {what}")
        return self.get(column, as_text)


@dataclass(frozen=True, slots=True)
class Table:
    """The header of a file and its rows, to be read once."""

    file: str
    columns: Sequence[str]
    rows: Iterator[Record]

    def require(self, *columns: str) -> None:
        """Raise CourseError naming all columns that are missing."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            noun = "column" if len(missing) == 1 else "columns"
            raise CourseError(
                f"missing {noun} {', '.join(missing)}; it has {', '.join(self.columns)}",
                file=self.file,
            )


def read_table(file: str, name: str, stream: BinaryIO) -> Table:
    """Return the rows of an open file; `name` tells its format, `file` is how errors call it."""
    suffix = "." + name.rpartition(".")[2].lower()
    if suffix in (".csv", ".tsv"):
        return _read_csv(file, stream, "\t" if suffix == ".tsv" else ",")
    if suffix == ".jsonl":
        return _read_jsonl(file, stream)
    if suffix == ".parquet":
        return _read_parquet(file, stream)
    raise CourseError(f"not one of the formats read: {', '.join(SUFFIXES)}", file=file)


def arrow_records(file: str, batches: Iterator[pa.RecordBatch]) -> Iterator[Record]:
    """Return the rows of Arrow batches; text is taken as bytes, for it may not be UTF-8."""
    row = 0
    for batch in batches:
        names = batch.schema.names
        columns = [_values(column) for column in batch.columns]
        for cells in zip(*columns, strict=True):
            row += 1
            yield Record(file, row, dict(zip(names, cells, strict=True)))


def _read_csv(file: str, stream: BinaryIO, delimiter: str) -> Table:
    # The limit is the csv module's only, process-wide one; programs may be longer than 128 kB.
    csv.field_size_limit(2**31 - 1)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        columns = next(reader, [])
    except csv.Error as error:
        raise CourseError(f"not CSV: {error}", file=file, row=1) from None
    if not columns:
        raise CourseError("the file is empty; a header was expected", file=file)
    double = sorted({column for column in columns if columns.count(column) > 1})
    if double:
        raise CourseError(f"two columns are called {double[0]!r}", file=file, row=1)
    return Table(file, columns, _csv_rows(file, columns, reader, text))


def _csv_rows(
    file: str, columns: list[str], reader: Iterator[list[str]], stream: io.TextIOWrapper
) -> Iterator[Record]:
    row = 1
    with stream:
        while True:
            row += 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                if "unexpected end" in str(error):
                    reason = "a quote opened in this row is never closed; the rest cannot be told"
                    raise CourseError(reason, file=file, row=row) from None
                yield Record(file, row, {}, RowError("", None, f"not CSV: {error}"))
                continue
            if cells is None:
                return
            if not cells:
                continue  # an empty line is no record
            fault = None
            if len(cells) != len(columns):
                reason = f"{len(cells)} fields where the header has {len(columns)}"
                fault = RowError(columns[min(len(cells), len(columns) - 1)], cells[-1], reason)
            yield Record(file, row, dict(zip(columns, cells, strict=False)), fault)


def _read_jsonl(file: str, stream: BinaryIO) -> Table:
    # Objects may leave keys out, so only all lines together tell the columns.
    columns: dict[str, None] = {}
    for record in _jsonl_rows(file, stream):
        columns.update(dict.fromkeys(record.values))
    if not columns:
        raise CourseError("no line is a JSON object with keys", file=file)
    stream.seek(0)
    return Table(file, list(columns), _jsonl_rows(file, stream))


def _jsonl_rows(file: str, stream: BinaryIO) -> Iterator[Record]:
    for row, line in enumerate(stream, 1):
        if not line.strip():
            continue
        text = line.decode("utf-8", "surrogateescape")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield Record(file, row, {}, RowError("", text[:200], f"not JSON: {error}"))
            continue
        if not isinstance(values, dict):
            yield Record(file, row, {}, RowError("", values, "not a JSON object"))
            continue
        yield Record(file, row, values)


def _read_parquet(file: str, stream: BinaryIO) -> Table:
    try:
        parquet = pq.ParquetFile(stream)
    except (OSError, pa.ArrowException) as error:
        raise CourseError(f"not a Parquet file: {error}", file=file) from None
    return Table(file, parquet.schema_arrow.names, _parquet_rows(file, parquet))


def _parquet_rows(file: str, parquet: pq.ParquetFile) -> Iterator[Record]:
    with parquet:
        try:
            yield from arrow_records(file, parquet.iter_batches(_BATCH_ROWS, use_threads=False))
        except (OSError, pa.ArrowException) as error:
            raise CourseError(f"the file is damaged: {error}", file=file) from None


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _values(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [
            None if value is None else value.decode("utf-8", "surrogateescape")
            for value in column.cast(
                pa.binary() if pa.types.is_string(kind) else pa.large_binary()
            ).to_pylist()
        ]
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values
