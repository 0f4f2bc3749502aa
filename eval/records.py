"""The episode-record table: one row per rollout step, in Parquet shards beside a run.json.

Metrics are functions of this table alone: they never run code and never call a model, so any
metric can be added later to any old run.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from novicegym import __version__
from novicegym.courses.model import Course
from novicegym.courses.suite import suite_to_json
from novicegym.errors import UsageError
from novicegym.grading.grader import GRADER_VERSION

JsonDict: TypeAlias = dict[str, Any]

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
        # what the student did at position + step
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

_VERSIONED = ("gymnasium", "numpy", "pyarrow")


def run_versions() -> dict[str, str]:
    """Return the versions a record's bytes depend on."""
    versions = {
        "novicegym": __version__,
        "grader": GRADER_VERSION,
        "python": platform.python_version(),
    }
    return versions | {name: metadata.version(name) for name in _VERSIONED}


# A course is immutable and compared by identity; a rollout asks for the same one as what is
# played and as what the agent looks things up in, and each asking reads the whole log.
@lru_cache(maxsize=2)
def course_fingerprint(course: Course) -> str:
    """Return a hash of all an assignment tells a policy or grades, and of every trajectory."""
    digest = hashlib.sha256()
    for assignment in course.assignments.values():
        suite = json.dumps(suite_to_json(assignment.tests), sort_keys=True)
        told = (assignment.prompt, assignment.entry_point or "", assignment.starter or "")
        _update(digest, assignment.id, suite, *told, *assignment.solutions)
    for trajectory in course.trajectories:
        _update(digest, trajectory.student_id, trajectory.assignment_id)
        _update(digest, *(submission.code for submission in trajectory.submissions))
    return digest.hexdigest()


def _update(digest: Any, *texts: str) -> None:
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)


def open_run(run: Path, config: Mapping[str, Any]) -> None:
    """Create the run folder with its run.json, or check that an existing one matches.

    Raises UsageError when the folder holds a run of another configuration, or anything else.
    """
    path = run / "run.json"
    if path.exists():
        existing, wanted = _flat(read_run(run)), _flat(config)
        changed = sorted(
            key for key in existing.keys() | wanted.keys() if existing.get(key) != wanted.get(key)
        )
        if changed:
            raise UsageError(
                f"{run} holds a run with other settings ({', '.join(changed)}); "
                "choose another --out, or delete it to start anew"
            )
        return
    if run.is_dir() and any(run.iterdir()):
        raise UsageError(f"{run} holds other files and no run.json; choose another --out")
    (run / "episodes").mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def _flat(config: Mapping[str, Any], prefix: str = "") -> JsonDict:
    flat: JsonDict = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def read_run(run: Path) -> JsonDict:
    """Return the run's configuration; UsageError when there is none."""
    path = run / "run.json"
    if not path.is_file():
        raise UsageError(f"{run} is not a run: it has no run.json. `novicegym rollout` makes one")
    try:
        config: JsonDict = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged ({error}); delete the run and start anew") from None
    if not isinstance(config, dict) or not isinstance(config.get("shards"), int):
        raise UsageError(f"{path} is not that of a run; `novicegym rollout` makes one")
    return config


def shard_path(run: Path, index: int) -> Path:
    """Return where the records of shard `index` are."""
    return run / "episodes" / f"part-{index:05d}.parquet"


def write_shard(run: Path, index: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one shard; a reader never sees a part of it.

    Lone surrogates, which a policy may say and UTF-8 cannot hold, are stored as "?".
    """
    sink = pa.BufferOutputStream()
    storable = [{name: _storable(value) for name, value in row.items()} for row in rows]
    table = pa.Table.from_pylist(storable, schema=RECORDS)
    pq.write_table(table, sink, compression="zstd")
    write_atomically(shard_path(run, index), sink.getvalue().to_pybytes())


def _storable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


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
    return pa.concat_tables([RECORDS.empty_table(), *map(_read_shard, shards)])


def _read_shard(shard: Path) -> pa.Table:
    try:
        return pq.read_table(shard, schema=RECORDS)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{shard} is damaged ({reason}); delete it and run the same "
            "`novicegym rollout` command again"
        ) from None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
