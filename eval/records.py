"""The episode-record table: one row per rollout step, in Parquet shards beside a run.json.

Metrics are functions of this table alone: they never run code and never call a model, so any
metric can be added later to any old run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from novicegym.errors import UsageError
from novicegym.runs import JsonDict, read_config, write_atomically

RECORDS = pa.schema(
    [
        # which rollout
        ("course", pa.string()),
        ("synthetic", pa.bool_()),
        ("agent", pa.string()),
        ("protocol", pa.string()),
        ("seed", pa.int64()),
        ("student_id", pa.string()),
        ("assignment_id", pa.string()),
        ("term", pa.string()),
        ("position", pa.int32()),  # logged submissions the policy saw, the paper's t
        ("step", pa.int32()),  # 1 is the first generated submission, the paper's k
        # what the student did at position + step; null past her last submission, which protocols
        # that go on there have rows for
        ("logged_code", pa.string()),
        ("logged_grade_num", pa.int64()),
        ("logged_grade_den", pa.int64()),
        ("logged_outcome", pa.string()),
        ("logged_case_bits", pa.string()),
        ("logged_length", pa.int32()),  # logged submissions up to the first fully correct one
        ("final_logged_grade_num", pa.int64()),
        ("final_logged_grade_den", pa.int64()),
        # what the policy did; null where it had stopped before
        ("completion", pa.string()),
        ("generated_code", pa.string()),
        ("grade_num", pa.int64()),
        ("grade_den", pa.int64()),
        ("outcome", pa.string()),
        ("case_bits", pa.string()),
        ("reward", pa.float64()),
        ("stop", pa.string()),  # why the episode ended, on its last generated row
    ]
)
"""Columns of the table; (student_id, assignment_id, position, step) is the key within a run."""

TUTORED_RECORDS = pa.schema(
    [
        *RECORDS,
        # what was said to the student before this step; null where the policy had stopped before
        ("message", pa.string()),  # "" for nothing
        ("tutor_failure", pa.string()),  # why nothing was said, where the tutor failed; else ""
    ]
)
"""Columns of a run with a tutor, however silent."""


def read_run(run: Path) -> JsonDict:
    """Return the configuration of a rollout; UsageError when the folder holds none."""
    config = read_config(run)
    if not isinstance(config.get("shards"), int):
        raise UsageError(f"{run / 'run.json'} is not that of a run that `novicegym rollout` made")
    return config


def shard_path(run: Path, index: int) -> Path:
    """Return where the records of shard `index` are."""
    return run / "episodes" / f"part-{index:05d}.parquet"


def encode_shard(rows: Sequence[Mapping[str, Any]], *, tutored: bool = False) -> bytes:
    """Return the file of one shard: the same rows give the same bytes.

    tutored: whether there was a tutor; without one the columns are RECORDS alone. Lone
    surrogates, which a policy may say and UTF-8 cannot hold, are stored as "?".
    """
    sink = pa.BufferOutputStream()
    storable = [{name: _storable(value) for name, value in row.items()} for row in rows]
    table = pa.Table.from_pylist(storable, schema=TUTORED_RECORDS if tutored else RECORDS)
    pq.write_table(table, sink, compression="zstd")
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def write_shard(run: Path, index: int, shard: bytes) -> None:
    """Write an encoded shard; a reader never sees a part of it."""
    shard_path(run, index).parent.mkdir(exist_ok=True)
    write_atomically(shard_path(run, index), shard)


def _storable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def columns_of(run: Path) -> pa.Schema:
    """Return the columns of a run's table."""
    return TUTORED_RECORDS if "tutor" in read_run(run) else RECORDS


def is_finished(run: Path) -> bool:
    """Return whether the folder holds a run with all its shards."""
    if not (run / "run.json").is_file():
        return False
    return all(shard_path(run, index).exists() for index in range(read_run(run)["shards"]))


def read_records(run: Path) -> pa.Table:
    """Return a finished run's table; UsageError when it is unfinished or not a run."""
    config = read_run(run)
    shards = [shard_path(run, index) for index in range(config["shards"])]
    missing = sum(not shard.exists() for shard in shards)
    if missing:
        raise UsageError(
            f"{run} is unfinished: {missing} of {len(shards)} shards are missing; "
            "run the same `novicegym rollout` command again to complete it"
        )
    schema = columns_of(run)
    return pa.concat_tables(
        [schema.empty_table(), *(_read_shard(shard, schema) for shard in shards)]
    )


def columns(
    records: pa.Table, names: Sequence[str], *, complete: Collection[str] = ()
) -> list[list[Any]]:
    """Return these columns of a table, each as a list.

    complete: those among them in which no value may be missing. Raises UsageError where one is,
    and for a column that is not there.
    """
    check_columns(records, names)
    for name in complete:
        unknown = records.column(name).null_count
        if unknown:
            raise UsageError(f"{unknown} of {len(records)} records have no {name}")
    return [records.column(name).to_pylist() for name in names]


def check_columns(records: pa.Table, names: Iterable[str]) -> None:
    """Raise UsageError for a column that is not there."""
    missing = sorted(set(names) - set(records.column_names))
    if missing:
        raise UsageError(f"the records have no column {', '.join(missing)}")


def count_played(run: Path) -> tuple[int, int]:
    """Return how many trajectories and how many episodes a finished run has records of."""
    trajectories = episodes = 0
    for index in range(read_run(run)["shards"]):
        # A trajectory is in one shard.
        shard = _read_shard(shard_path(run, index), RECORDS)
        trajectories += shard.group_by(["student_id", "assignment_id"]).aggregate([]).num_rows
        episodes += (
            shard.group_by(["student_id", "assignment_id", "position"]).aggregate([]).num_rows
        )
    return trajectories, episodes


def _read_shard(shard: Path, schema: pa.Schema) -> pa.Table:
    try:
        return pq.read_table(shard, schema=schema)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{shard} is damaged ({reason}); delete it and run the same "
            "`novicegym rollout` command again"
        ) from None
