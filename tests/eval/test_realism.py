"""The machine Turing test on policies of which we know how they differ from students."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from novicegym.errors import UsageError
from novicegym.eval.realism import Realism, machine_turing_test
from novicegym.eval.records import RECORDS

pytest.importorskip("sklearn")
pytest.importorskip("pycodestyle")

FIRST, HORIZON = 3, 5
Rng = np.random.Generator
Policy = Callable[[str, str, Rng], str | None]
"""From the last code and the student's next one to the policy's next one."""


def revise(code: str, rng: Rng) -> str:
    """One step of an imaginary student, whose programs grow: change, add or drop a line."""
    head, *lines = code.rstrip("\n").split("\n")
    kind = rng.choice(["change", "add", "drop", "break"], p=[0.4, 0.4, 0.1, 0.1])
    line = f"    x = x {rng.choice(['+', '-', '*'])} {rng.integers(100)}"
    where = int(rng.integers(len(lines)))
    if kind == "add" or len(lines) < 2:
        lines.insert(where, line)
    elif kind == "drop":
        lines.pop(where)
    else:
        lines[where] = line + (" )" if kind == "break" else "")
    return "\n".join([head, *lines]) + "\n"


def judged(code: str) -> tuple[int, int, str]:
    if ")" in code.partition("\n")[2]:
        return 0, 10, "compile"
    return min(9, code.count("+")), 10, "logical"


def play(policy: Policy, *, students: int = 10, seed: int = 0) -> list[dict[str, Any]]:
    """Records of a run over imaginary students, from every start."""
    rows = []
    for number in range(students):
        rng = np.random.default_rng([seed, number])
        logged = ["def f(x):\n    x = x + 1\n"]
        for _ in range(int(rng.integers(8, 13))):
            logged.append(revise(logged[-1], rng))
        for position in range(FIRST, len(logged)):
            code: str | None = logged[position - 1]
            for step in range(1, min(HORIZON, len(logged) - position) + 1):
                target = logged[position + step - 1]
                row: dict[str, Any] = {
                    "student_id": f"s{number:02d}",
                    "assignment_id": "a",
                    "position": position,
                    "step": step,
                    "logged_code": target,
                }
                verdict = judged(target)
                row["logged_grade_num"], row["logged_grade_den"], row["logged_outcome"] = verdict
                code = None if code is None else policy(code, target, rng)
                if code is not None:
                    row["generated_code"] = code
                    row["grade_num"], row["grade_den"], row["outcome"] = judged(code)
                rows.append(row)
    return rows


def tried(rows: list[dict[str, Any]], **options: int) -> Realism:
    table = pa.Table.from_pylist(rows, schema=RECORDS)
    return machine_turing_test(table, **({"splits": 2, "samples": 200} | options))


def copy(code: str, target: str, rng: Rng) -> str:
    return target


def resubmit(code: str, target: str, rng: Rng) -> str:
    return code


def revise_alike(code: str, target: str, rng: Rng) -> str:
    return revise(code, rng)


def test_logged_against_logged_is_exactly_one_half() -> None:
    found = tried(play(copy))
    assert (found.auc.value, found.auc.low, found.auc.high) == (0.5, 0.5, 0.5)
    assert set(found.families.values()) == {0.0}


def test_what_a_file_does_to_a_program_does_not_give_it_away() -> None:
    rows = play(lambda code, target, rng: target.rstrip("\n").replace("\n", "\r\n"))
    found = tried(rows)
    assert (found.auc.value, found.auc.low, found.auc.high) == (0.5, 0.5, 0.5)


def test_a_second_draw_of_the_same_student_is_not_told_apart() -> None:
    """Logged transitions are repeated from start to start and simulated ones are not, and
    programs grow with the position: neither may show."""
    found = tried(play(revise_alike, students=30), splits=4)
    assert found.auc.low <= 0.5 <= found.auc.high
    assert abs(found.auc.value - 0.5) < 0.05


def test_resubmitting_is_told_apart_and_by_the_size_of_edits() -> None:
    found = tried(play(resubmit))
    assert found.auc.value > 0.97
    assert next(iter(found.families)) == "edit size"
    told = found.features[0]
    assert (told.name, told.family) == ("unchanged", "edit size")
    assert told.logged is not None
    assert told.logged < 0.1
    assert told.simulated == 1.0
    assert told.importance > 0.15


def test_the_more_often_a_policy_differs_the_better_it_is_told_apart() -> None:
    def sometimes(share: float) -> Realism:
        rows = play(lambda code, target, rng: code if rng.random() < share else target)
        return tried(rows)

    rarely, often = sometimes(0.15), sometimes(0.5)
    assert rarely.auc.low > 0.5
    assert rarely.auc.value < often.auc.value - 0.05
    assert often.auc.value < 0.95


def test_style_is_what_gives_a_commenting_policy_away() -> None:
    found = tried(play(lambda code, target, rng: "# as asked\n" + target))
    assert found.auc.value > 0.95
    assert next(iter(found.families)) == "style"


def test_records_without_a_pair_are_counted_and_left_out() -> None:
    stops: Policy = lambda code, target, rng: target if rng.random() < 0.8 else None  # noqa: E731
    whole, cut = play(copy), play(stops)
    starts = {(row["student_id"], row["position"]) for row in whole}
    found = tried(whole)
    assert (found.students, found.stopped, found.previous_unknown) == (10, 0, 10)
    assert found.slots == len(whole) - 10
    assert found.rows == 2 * found.slots
    assert len({student for student, _ in starts}) == found.students
    left = tried(cut)
    assert left.stopped == sum("generated_code" not in row for row in cut) > 0
    assert left.slots + left.stopped + left.previous_unknown == len(cut)
    # Equal sides stay equal, whichever slots the policy leaves.
    assert left.auc.value == 0.5


def test_order_of_records_and_number_of_processes_do_not_matter() -> None:
    rows = play(revise_alike, students=6)
    found = tried(rows)
    shuffled = [rows[i] for i in np.random.default_rng(5).permutation(len(rows))]
    assert asdict(tried(shuffled, workers=2)) == asdict(found)
    assert asdict(tried(rows, seed=1)) != asdict(found)


def test_another_process_and_hash_seed_give_the_same_bytes(tmp_path: Path) -> None:
    rows = play(revise_alike, students=6)
    pq.write_table(pa.Table.from_pylist(rows, schema=RECORDS), tmp_path / "records.parquet")
    code = (
        "import sys, pyarrow.parquet as pq\n"
        "from novicegym.eval.realism import machine_turing_test\n"
        "print(machine_turing_test(pq.read_table(sys.argv[1]), splits=1, samples=50))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "records.parquet"],
        env=os.environ | {"PYTHONHASHSEED": "4321"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.stderr == ""
    assert result.stdout == f"{tried(rows, splits=1, samples=50)}\n"


def test_programs_that_never_parse_can_be_tested() -> None:
    rows = play(lambda code, target, rng: code)
    for row in rows:
        for name in ("logged_code", "generated_code"):
            row[name] = row[name].replace("def", "function")
    assert tried(rows).auc.value > 0.9


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (play(copy, students=4), {}, "only 4 have transitions to compare; roll out more students"),
        (play(copy, students=1)[:2], {}, "only 1 have"),
        ([], {}, "only 0 have"),
        (
            [row for row in play(copy, students=2) if row["position"] < 6],
            {"folds": 2},
            "at least 50 transitions",
        ),
        (play(copy) + play(copy)[:3], {}, "3 steps of rollouts more than once"),
        (play(copy), {"folds": 1}, "folds must be at least 2, got 1"),
        (play(copy), {"samples": 0}, "at least 1, got 2 and 0"),
    ],
)
def test_what_cannot_be_tested_says_what_to_do(
    rows: list[dict[str, Any]], options: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        tried(rows, **options)


def test_missing_columns_are_named() -> None:
    table = pa.Table.from_pylist(play(copy), schema=RECORDS).drop_columns(["outcome"])
    with pytest.raises(UsageError, match="no column outcome"):
        machine_turing_test(table)


def test_without_scikit_learn_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(UsageError, match=r"pip install 'novicegym\[eval\]'"):
        tried(play(copy))
