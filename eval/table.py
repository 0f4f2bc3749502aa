"""The result table: a row for each run, or for each kind of its episodes.

A table compares policies only on the same starts of the same course under the same protocol;
anything else is a UsageError. Values are rounded here and nowhere before.

Covered: text, Markdown, CSV, JSON. Not covered: significance of differences.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from novicegym.envs.render import printable
from novicegym.errors import UsageError
from novicegym.eval.bootstrap import Run
from novicegym.eval.metrics import Metrics, Progress, score_steps, summarize
from novicegym.eval.records import check_columns, columns
from novicegym.eval.strata import part_by

if TYPE_CHECKING:
    from rich.table import Table

_HEADINGS = ("agent", "Cov", "GP", "CB", "CB*", "ΔCov", "ΔGP", "ΔCB", "episodes", "steps")
_CSV_NAMES = (
    "agent",
    "seed",
    "run",
    "part",
    "coverage",
    "grade_proximity",
    "codebleu",
    "codebleu_corrected",
    "coverage_degradation",
    "grade_proximity_degradation",
    "codebleu_degradation",
    "episodes",
    "steps",
)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One run, or its episodes of one kind."""

    agent: str
    seed: int
    metrics: Metrics
    run: str = ""
    """What tells it from other runs of the agent: they may differ in feedback or format, too."""
    part: str = ""
    """The kind of episodes in this row, where the table is by kind; empty: all of them."""

    def shown(self) -> tuple[float | None, ...]:
        """Return coverage, GP, CB, corrected CB and the degradation of the first three."""
        run = self.metrics
        return (
            run.coverage.micro,
            run.grade_proximity.macro,
            run.codebleu.macro,
            run.codebleu_corrected.macro,
            run.coverage.degradation,
            run.grade_proximity.degradation,
            run.codebleu.degradation,
        )


FEW_STEPS = 10
"""Where a step has fewer, a mean over the steps hangs on single submissions, and that is said."""


@dataclass(frozen=True, slots=True)
class ResultTable:
    """Runs of several policies from the same starts."""

    course: str
    synthetic: bool
    """No human wrote the course's submissions."""
    protocol: str
    preset: str
    rows: tuple[ResultRow, ...]

    @property
    def header(self) -> str:
        """What was played, and which averages are shown."""
        course = f"{self.course} (synthetic)" if self.synthetic else self.course
        rounding = "per-step values rounded first" if self.preset == "published" else "unrounded"
        thin = ", ".join(
            dict.fromkeys(
                _line(f"{row.agent}, {row.part}" if row.part else row.agent)
                for row in self.rows
                if any(0 < step.valid < FEW_STEPS for step in row.metrics.steps)
            )
        )
        few = f". Fewer than {FEW_STEPS} submissions at some k: {thin}" if thin else ""
        return (
            f"Course {course}, protocol {self.protocol}, metrics {self.preset}. Cov: share of the "
            "students' submissions that have a counterpart (micro). GP: 1 - distance of the "
            f"grades, CB: CodeBLEU, CB*: corrected (macro over k, {rounding}). "
            "Δ: mean over k > 1 of m_k - m_1. "
            f"Intervals: novicegym report{few}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything, micro and macro averages and the values per step included."""
        return {
            "course": self.course,
            "synthetic": self.synthetic,
            "protocol": self.protocol,
            "preset": self.preset,
            "header": self.header,
            "rows": [
                {"agent": row.agent, "seed": row.seed, "run": row.run, "part": row.part}
                | asdict(row.metrics)
                for row in self.rows
            ],
        }

    def to_csv(self) -> str:
        """Return one line a run, in full precision, an empty field where there is no value."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("course", "synthetic", "protocol", "preset", *_CSV_NAMES))
        for row in self.rows:
            run = row.metrics
            about = (self.course, self.synthetic, self.protocol, self.preset)
            counts = (run.episodes, run.records)
            who = (_line(row.agent), row.seed, row.run, _line(row.part))
            writer.writerow((*about, *who, *row.shown(), *counts))
        return text.getvalue()

    def to_markdown(self) -> str:
        """Return the header line and a Markdown table."""
        lines = [self.header, "", f"| {' | '.join(_HEADINGS)} |"]
        lines.append("|---|" + "---:|" * (len(_HEADINGS) - 1))
        for cells in self._cells():
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        return "\n".join(lines)

    def to_rich(self) -> Table:
        """Return the table for a terminal."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=box.SIMPLE_HEAD,
            title=Text(self.header),
            title_justify="left",
            pad_edge=False,
            collapse_padding=True,
        )
        for heading in _HEADINGS:
            first = heading == _HEADINGS[0]
            table.add_column(
                heading,
                justify="left" if first else "right",
                no_wrap=not first,
                overflow="fold" if first else "ellipsis",
            )
        for cells in self._cells():
            table.add_row(*(Text(cell) for cell in cells))
        return table

    def _cells(self) -> list[tuple[str, ...]]:
        namesakes = Counter((row.agent, row.part) for row in self.rows)
        result = []
        for row in self.rows:
            own = row.run or f"seed {row.seed}"
            name = row.agent if namesakes[row.agent, row.part] == 1 else f"{row.agent} ({own})"
            name = _line(f"{name}, {row.part}" if row.part else name)
            values = [
                _shown(value, signed=heading.startswith("Δ"))
                for heading, value in zip(_HEADINGS[1:], row.shown(), strict=False)
            ]
            counts = (f"{row.metrics.episodes}", f"{row.metrics.records}")
            result.append((name, *values, *counts))
        return result


def make_table(
    runs: Sequence[pa.Table],
    *,
    names: Sequence[str] | None = None,
    preset: str = "paper",
    by: str | None = None,
    with_codebleu: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> ResultTable:
    """Return the table of some runs' episode records, in the order given.

    names: what to tell runs of one agent apart by; None for their seeds. by: one of
    `novicegym.eval.strata.STRATA`, for a row for each kind of episode in place of one for all.
    workers, progress: as in `measure`, for each run in turn.
    Raises UsageError when a table is empty or mixes runs, or when the runs are not of the
    same course, protocol and starts.
    """
    if not runs:
        raise UsageError("a table needs at least one run, got none")
    about = [_run_facts(records) for records in runs]
    starts = [_starts(records) for records in runs]
    for facts, places in zip(about[1:], starts[1:], strict=True):
        for name in ("course", "protocol"):
            if facts[name] != about[0][name]:
                raise UsageError(
                    f"the runs are of different {name}s: {about[0]['agent']!r} has "
                    f"{about[0][name]!r}, {facts['agent']!r} has {facts[name]!r}; "
                    "print a table of each"
                )
        if places != starts[0]:
            raise UsageError(
                f"the runs of {about[0]['agent']!r} and {facts['agent']!r} do not start from the "
                f"same logged states ({len(places - starts[0])} steps only in the second, "
                f"{len(starts[0] - places)} only in the first); play both with the same --split "
                "and --curate"
            )
    rows = []
    for facts, records, name in zip(about, runs, names or [""] * len(runs), strict=True):
        scored = score_steps(
            records, preset, with_codebleu=with_codebleu, workers=workers, progress=progress
        )
        parts: dict[str, Run] = {"": scored}
        if by is not None:
            parts = {kind: part for kind, [part] in part_by([records], [scored], by).items()}
        rows += [
            ResultRow(facts["agent"], facts["seed"], summarize(part, preset), name, kind)
            for kind, part in parts.items()
        ]
    return ResultTable(
        course=about[0]["course"],
        synthetic=any(facts["synthetic"] for facts in about),
        protocol=about[0]["protocol"],
        preset=preset,
        rows=tuple(rows),
    )


_START = ("student_id", "assignment_id", "position", "step")
_FACTS = ("course", "synthetic", "agent", "protocol", "seed")
_Step: TypeAlias = tuple[str, str, int, int]


def _run_facts(records: pa.Table) -> dict[str, Any]:
    """Return what all records of a run share."""
    check_columns(records, (*_FACTS, *_START))
    if not len(records):
        raise UsageError(
            "a run has no records: no trajectory is long enough for its protocol; "
            "play more trajectories"
        )
    facts = {}
    for name in _FACTS:
        values = pc.unique(records.column(name)).to_pylist()
        if len(values) > 1:
            raise UsageError(
                f"the records mix several runs (column {name!r} holds {values[0]!r} and "
                f"{values[1]!r}); give each run as a table of its own"
            )
        facts[name] = values[0]
    return facts


def _starts(records: pa.Table) -> set[_Step]:
    return set(zip(*columns(records, _START), strict=True))


def _line(text: str) -> str:
    """Return a name or an id from a log as one line that cannot drive the terminal."""
    return printable(" ".join(text.split()))


def _shown(value: float | None, *, signed: bool) -> str:
    if value is None:
        return "-"
    text = f"{value:+.3f}" if signed else f"{value:.3f}"
    return text.replace("-0.000", "0.000").replace("+0.000", "0.000")
