"""`falconcode:PATH`: FalconCode, as the official release or in the layout of the Hugging Face Hub.

(a) The official release: a directory or zip with the tables `courses`, `students` (may be
    missing), `runs`, `code_samples`, `problems` as CSV, whatever stands before the names
    (`falconcode_v1_table_runs.csv`).
(b) The Hub's `koutch/falcon_code`: Parquet or CSV files with one run per row, in a directory or
    zip, configurations (`full`, `submitted`) as folders or as the beginning of file names; or
    its name on the Hub, which is then downloaded with the `datasets` package.

What is made of it:

- A score is divided by the problem's `max_score` (100 where there is none); -1 means that the
  program was run and not submitted. These runs are left out and counted unless
  `include_local_runs`; then they are submissions without a grade.
- `testcase` is a test script; a problem without one is left out with its trajectories, counted.
- The lesson is what stands before the first "_" of the problem's id. The kind is its `type`,
  but "exam" for exam problems (`exam_kind=False` keeps their type), so that curation can tell.
- One assignment per problem id. Where courses differ in prompt or tests, the version of the
  earliest (the smallest course id) counts for all, and the problem is named in the report.
- Redacted programs are kept and counted unless `include_redacted` is False: then they are left
  out. A trajectory does not show which of its programs are redacted.
- Terms: semester and year of the course. The Hub has no table of courses: 2, 3 and 4 are
  "Spring 2021", "Fall 2021" and "Spring 2022", any other N is "course N".

Not covered: turning the official release's HTML prompts into text; the students' attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from novicegym.courses.model import Assignment
from novicegym.courses.readers.archive import Archive
from novicegym.courses.readers.falconcode_hub import HUB_CONFIGS, pick_config, read_run_rows
from novicegym.courses.readers.falconcode_problems import Choices, Problems
from novicegym.courses.readers.falconcode_release import find_release, read_release
from novicegym.courses.readers.intake import Intake
from novicegym.courses.readers.progsnap2 import MAIN_TABLE
from novicegym.courses.readers.records import Table, arrow_records, read_table
from novicegym.errors import UsageError, unknown_name

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def read_falconcode(
    path: str,
    intake: Intake,
    *,
    config: str | None = None,
    include_local_runs: bool = False,
    include_redacted: bool = True,
    exam_kind: bool = True,
    original_code: bool = False,
) -> tuple[str, dict[str, Assignment]]:
    """Read FalconCode at `path` into `intake`; return the course's name and assignments.

    Args:
        config: Hub layout: "submitted" (default where there are several) or "full".
        include_local_runs: Keep the runs that were not submitted.
        include_redacted: Keep programs in which the release blacked something out.
        exam_kind: Give exam problems the kind "exam" instead of their type.
        original_code: Hub layout: the programs as written, not the cleaned ones.
    """
    if config is not None and config not in HUB_CONFIGS:
        raise unknown_name("configuration", config, HUB_CONFIGS)
    choices = Choices(include_local_runs, include_redacted, exam_kind, original_code)
    problems = Problems(choices, intake)
    for table in _tables(path, config, intake, problems):
        read_run_rows(table, problems)
    problems.tell()
    return "falconcode", problems.assignments()


def _tables(path: str, config: str | None, intake: Intake, problems: Problems) -> Iterator[Table]:
    """Yield the Hub layout's tables of runs; the official release is read here and yields none."""
    local = Path(path)
    if not local.exists():
        if not _HUB_NAME.fullmatch(path):
            raise UsageError(f"no FalconCode at {path}: no such file or directory")
        yield from _download(path, config or "submitted")
        return
    if local.is_file() and local.suffix != ".zip":
        with local.open("rb") as stream:
            yield read_table(path, path, stream)
        return
    archive = Archive(local)
    release = find_release(archive)
    if release is not None:
        read_release(archive, release, problems)
        return
    if MAIN_TABLE in archive:
        raise UsageError(f"{path} is a ProgSnap2 data set: call it progsnap2:{path}")
    names = pick_config(archive, config, intake)
    for name in names:
        with archive.open(name) as stream:
            yield read_table(archive.label(name), name, stream)


def _download(name: str, config: str) -> Iterator[Table]:
    """Yield the splits of a data set on the Hub."""
    try:
        datasets = import_module("datasets")
    except ImportError:
        raise UsageError(
            f"there is no directory {name}; to get it from the Hugging Face Hub install the "
            "datasets package (pip install datasets)"
        ) from None
    try:
        splits = datasets.load_dataset(name, config)
    except Exception as error:  # what the Hub and the network raise is no closed set
        reason = " ".join(str(error).split())
        raise UsageError(f"the Hub does not give {name} ({config}): {reason}") from None
    for split, rows in splits.items():
        file = f"{name}/{config}/{split}"
        yield Table(file, rows.column_names, arrow_records(file, rows.data.to_batches()))
