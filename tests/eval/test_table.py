"""The result table: what it shows, its renderings, and what may not share a table."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from novicegym.errors import UsageError
from novicegym.eval.metrics import measure
from novicegym.eval.records import RECORDS
from novicegym.eval.table import make_table

CODE = "def f(x):\n    y = x + 1\n    return y"


def run(agent: str = "copier", grade: Fraction = Fraction(2, 3), **changes: Any) -> pa.Table:
    """Two steps; at the second the policy has stopped."""
    rows = [
        {
            "course": "cs0",
            "synthetic": True,
            "agent": agent,
            "protocol": "paper",
            "seed": 0,
            "student_id": "s",
            "assignment_id": "a",
            "position": 3,
            "step": step,
            "logged_code": CODE,
            "logged_grade_num": 1,
            "logged_grade_den": 1,
            "generated_code": CODE if step == 1 else None,
            "grade_num": grade.numerator if step == 1 else None,
            "grade_den": grade.denominator if step == 1 else None,
        }
        | changes
        for step in (1, 2)
    ]
    return pa.Table.from_pylist(rows, schema=RECORDS)


def printed(table: Any, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table.to_rich())
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_terminal_shows_a_row_per_run_with_rounded_values() -> None:
    text = printed(make_table([run(), run("other", Fraction(1))]))
    lines = [line.split() for line in text.splitlines()]
    assert ["copier", "0.500", "0.667", "1.000", "1.000", "-1.000", "-", "-", "1", "2"] in lines
    assert ["other", "0.500", "1.000", "1.000", "1.000", "-1.000", "-", "-", "1", "2"] in lines


def test_the_header_says_what_is_shown_and_that_a_course_is_synthetic() -> None:
    header = make_table([run()]).header
    for part in (
        "cs0 (synthetic)",
        "protocol paper",
        "(micro)",
        "macro",
        "unrounded",
    ):
        assert part in header
    real = make_table([run(synthetic=False)], preset="published").header
    assert "synthetic" not in real
    assert "rounded first" in real


def test_markdown_is_the_header_and_a_table() -> None:
    table = make_table([run("a|b")])
    header, blank, *lines = table.to_markdown().split("\n")
    assert (header, blank) == (table.header, "")
    assert lines[0].startswith("| agent | Cov | GP | CB |")
    assert lines[2].startswith("| a\\|b | 0.500 | 0.667 |")
    assert len(lines) == 3


def test_csv_holds_full_precision() -> None:
    [row] = csv.DictReader(io.StringIO(make_table([run()]).to_csv()))
    assert float(row["grade_proximity"]) == 1 - abs(2 / 3 - 1)
    assert row["codebleu_degradation"] == ""
    assert (row["agent"], row["seed"], row["steps"]) == ("copier", "0", "2")


def test_json_holds_both_averages_and_every_step() -> None:
    data = json.loads(json.dumps(make_table([run()]).to_json()))
    assert data["synthetic"] is True
    [row] = data["rows"]
    assert row["coverage"] == {"micro": 0.5, "macro": 0.5, "degradation": -1.0}
    assert [step["coverage"] for step in row["steps"]] == [1.0, 0.0]


def test_the_metrics_are_those_of_the_run() -> None:
    assert make_table([run()]).rows[0].metrics == measure(run())


def test_by_a_kind_of_episode_every_run_has_a_row_for_each() -> None:
    table = make_table([run(), run("other")], by="assignment")
    assert [(row.agent, row.part) for row in table.rows] == [
        (agent, assignment)
        for agent in ("copier", "other")
        for assignment in sorted(set(run().column("assignment_id").to_pylist()))
    ]
    assert sum(row.metrics.records for row in table.rows[: len(table.rows) // 2]) == len(run())
    assert f"copier, {table.rows[0].part}" in printed(table)
    [row, *_] = csv.DictReader(io.StringIO(table.to_csv()))
    assert row["part"] == table.rows[0].part
    with pytest.raises(UsageError, match="unknown stratification 'size'"):
        make_table([run()], by="size")


def test_names_cannot_drive_the_terminal_nor_break_a_row() -> None:
    table = make_table([run("evil\x1b[2J\nrow")])
    for text in (printed(table), table.to_markdown(), table.to_csv()):
        assert "\x1b" not in text
        assert "evil" in text
    assert len(table.to_markdown().splitlines()) == 5


def test_runs_of_one_agent_are_told_apart_by_seed() -> None:
    text = printed(make_table([run(), run(seed=7)]), width=140)
    assert "copier (seed 0)" in text
    assert "copier (seed 7)" in text


def test_runs_of_one_agent_and_seed_are_told_apart_by_name() -> None:
    table = make_table([run(), run(), run("other")], names=["full", "none", "third"])
    first_cells = [line.split()[:2] for line in printed(table, width=140).splitlines()]
    assert [cells for cells in first_cells if cells[:1] == ["copier"]] == [
        ["copier", "(full)"],
        ["copier", "(none)"],
    ]
    assert "other (" not in printed(table, width=140)
    assert [row["run"] for row in table.to_json()["rows"]] == ["full", "none", "third"]
    names = [row["run"] for row in csv.DictReader(io.StringIO(table.to_csv()))]
    assert names == ["full", "none", "third"]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "at least one run"),
        ([run().slice(0, 0)], "no records"),
        ([run().drop_columns(["agent"])], "no column agent"),
        ([pa.concat_tables([run(), run("other")])], "mix several runs .* 'copier' and 'other'"),
        ([run(), run("other", course="cs9")], "different courses: 'copier' has 'cs0'"),
        ([run(), run("other", protocol="published")], "different protocols"),
        ([run(), run("other", position=4)], "2 steps only in the second, 2 only in the first"),
        ([run(), run("other").slice(0, 1)], "do not start from the same logged states"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(runs: list[pa.Table], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_table(runs)


def test_the_header_names_whose_steps_are_few() -> None:
    header = make_table([run(), run(agent="other", seed=1)]).header
    assert header.endswith("Fewer than 10 submissions at some k: copier, other")
