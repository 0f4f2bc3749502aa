"""`novicegym cache`: what it prints, what it finds, its exit codes."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.grading.grader import Grader, Limits
from novicegym.grading.store import StoredRequest, VerdictStore
from novicegym.grading.verdict import Verdict

ADD = Assignment(
    "add",
    "Add",
    "Add two numbers.",
    TestSuite(cases=(CallCase("add(1, 2)", 3), CallCase("add(0, 0)", 0))),
    solutions=("def add(a, b):\n    return a + b\n",),
)
CODES = ("def add(a, b): return b + a", "def add(a, b): return a - b", "def add(a, b) return a")
LOOP = "def add(a, b):\n    while True: pass\n"


def cache(folder: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "novicegym", "cache", *arguments]
    environment = os.environ | {"NOVICEGYM_CACHE": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with the verdicts of four programs, graded under two limits, and an old one."""
    with VerdictStore(tmp_path / "verdicts.sqlite") as store:
        for limits in (Limits(), Limits(cpu_seconds=0.2)):
            with Grader(workers=1, limits=limits, store=store) as grader:
                grader.grade_batch([(ADD, code) for code in CODES])
        with Grader(workers=1, limits=Limits(cpu_seconds=0.2), store=store) as grader:
            assert grader.grade(ADD, LOOP).outcome == "timeout"
        store.put(b"old", Verdict(Fraction(1), "correct"), request("0 old"))
    return tmp_path


def request(version: str, code: str = LOOP) -> StoredRequest:
    return StoredRequest(ADD, b"suite", code, Limits(), version)


def test_stats_of_a_store(folder: Path) -> None:
    numbers = json.loads(cache(folder, "stats", "--json").stdout)
    assert (numbers["entries"], numbers["suites"]) == (8, 2)
    assert sorted(numbers["versions"].values()) == [1, 7]
    assert numbers["bytes_on_disk"] == (folder / "verdicts.sqlite").stat().st_size
    shown = cache(folder, "stats")
    assert shown.returncode == 0, shown.stderr
    assert "of version 0 old" in shown.stdout


def test_stats_of_no_store_make_none(tmp_path: Path) -> None:
    assert json.loads(cache(tmp_path / "new", "stats", "--json").stdout)["entries"] == 0
    assert cache(tmp_path / "new", "stats").returncode == 0
    assert cache(tmp_path / "new", "clear").stdout.startswith("removed 0 verdicts")
    assert cache(tmp_path / "new", "verify").returncode == 0
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["stats", "clear", "verify"])
def test_a_folder_that_cannot_be_is_an_error_and_no_empty_store(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("")
    told = cache(tmp_path / "file", command)
    assert (told.returncode, told.stdout) == (3, "")
    assert "the verdict store" in told.stderr
    assert str(tmp_path / "file" / "verdicts.sqlite") in told.stderr
    assert told.stderr.count("\n") == 1


def test_clear_says_how_much_went(folder: Path) -> None:
    cleared = cache(folder, "clear")
    assert cleared.stdout.startswith("removed 8 verdicts (0.03 MB)"), cleared.stderr
    assert json.loads(cache(folder, "stats", "--json").stdout)["entries"] == 0


def test_verify_grades_anew_what_this_version_graded(folder: Path) -> None:
    verified = cache(folder, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout == (
        "8 verdicts, 1 of other versions; 0 damaged; 7 graded anew, 0 different, 0 unstable\n"
    )
    assert "3 graded anew" in cache(folder, "verify", "--sample", "3").stdout
    assert "7 graded anew" in cache(folder, "verify", "--sample", "3", "--all").stdout


def test_verify_tells_a_verdict_that_differs(folder: Path) -> None:
    with VerdictStore(folder / "verdicts.sqlite") as store, Grader(workers=1) as grader:
        version = grader.version_text()
        right = grader.grade(ADD, CODES[0])
        wrong = dataclasses.replace(right.cases[1], actual="\x1b[2J9")
        for key, verdict in (
            (b"one", dataclasses.replace(right, cases=(right.cases[0], wrong))),
            (b"two", Verdict(Fraction(1, 2), "logical")),
        ):
            store.put(key, verdict, request(version, CODES[0]))
    verified = cache(folder, "verify")
    assert verified.returncode == 1
    one, two, summary = verified.stdout.splitlines()
    assert one == f"verdict {b'one'.hex()} (add): test 2 actual was '\\x1b[2J9', is '0'"
    assert two == f"verdict {b'two'.hex()} (add): grade was '1/2', is '1'"
    assert summary.endswith("9 graded anew, 2 different, 0 unstable")


@pytest.mark.parametrize(
    "value",
    ["int(time.time())", "os.urandom(8)", "id(object())"],
    ids=["the clock in seconds", "random numbers", "an address"],
)
def test_a_program_that_differs_from_itself_is_unstable_and_no_wrong_row(
    tmp_path: Path, value: str
) -> None:
    program = f"import os, time\ndef add(a, b): return {value}\n"
    with Grader(workers=1, store=VerdictStore(tmp_path / "verdicts.sqlite")) as grader:
        grader.grade(ADD, program)
    time.sleep(1.1)
    verified = cache(tmp_path, "verify")
    assert verified.stdout.endswith(" 1 graded anew, 0 different, 1 unstable\n")
    assert verified.returncode == 0


def test_verify_names_a_damaged_row_and_grades_the_others(folder: Path) -> None:
    connection = sqlite3.connect(folder / "verdicts.sqlite", isolation_level=None)
    connection.execute("UPDATE verdicts SET code = x'00' WHERE key = ?", (b"old",))
    connection.close()
    verified = cache(folder, "verify")
    assert verified.returncode == 1
    assert verified.stdout.splitlines() == [
        f"verdict {b'old'.hex()} does not match its checksum",
        "8 verdicts, 1 of other versions; 1 damaged; 7 graded anew, 0 different, 0 unstable",
    ]


def test_a_file_that_is_no_store_is_told_and_cleared(folder: Path) -> None:
    (folder / "verdicts.sqlite").write_bytes(b"no database" * 1000)
    verified = cache(folder, "verify")
    assert verified.returncode == 1
    assert f"{folder / 'verdicts.sqlite'} is damaged: delete that file" in verified.stdout
    stats = cache(folder, "stats")
    assert stats.returncode == 3
    assert str(folder / "verdicts.sqlite") in stats.stderr
    assert "delete it, and a new one is made" in stats.stderr
    assert stats.stderr.count("\n") == 1
    assert cache(folder, "clear").returncode == 0
    assert cache(folder, "verify").returncode == 0


def test_without_a_store_there_is_nothing_to_look_at() -> None:
    for command in ("stats", "clear", "verify"):
        told = cache("off", command)
        assert told.returncode == 2
        assert told.stderr == (
            "novicegym: no verdicts are kept on disk: NOVICEGYM_CACHE is off, or you have no home\n"
        )
