"""The soak of the grader, on small runs; and that it notices what it is there to notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from novicegym.grading.check import load_attacks
from novicegym.grading.grader import Grader

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "grading_soak.py"
LEAKS = """
import os, subprocess, sys, tempfile
from dataclasses import replace
import grading_soak as soak

kept = []
programs, measure = soak.cs1_programs, soak.Soak.measure

def leak(self):
    kept.append(os.open("/dev/null", os.O_RDONLY))
    kept.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
    kept.append(b"x" * 60_000_000)
    tempfile.mkdtemp(prefix="novicegym-")
    if self.done:
        self._world.file.write_text("x")
    measure(self)

soak.cs1_programs = lambda: [replace(program, grade=0.123) for program in programs()]
soak.Soak.measure = leak
sys.argv[1:] = ["--gradings", "300", "--every", "100"]
status = soak.main()
for thing in kept:
    if isinstance(thing, subprocess.Popen):
        thing.communicate()
sys.exit(status)
"""
CHANGED_VERDICTS = """
import sys
from dataclasses import replace
from novicegym.grading.grader import Grader
import grading_soak as soak

grade = Grader.grade
first = soak.cs1_programs()[0]

def change(self, assignment, code):
    verdict = grade(self, assignment, code)
    copied = code.splitlines()[-1:] and code.splitlines()[-1].startswith("# ")
    if copied or (self.workers == 3 and code == first.code):
        return replace(verdict, message="changed")
    return verdict

Grader.grade = change
soak.cs1_programs = lambda: [first]
sys.argv[1:] = ["--twice", "3"]
sys.exit(soak.main())
"""


@pytest.fixture(scope="module", autouse=True)
def full_rung() -> None:
    with Grader(workers=1, require="not-a-sandbox") as grader:
        if grader.rung != "full":
            pytest.skip(f"attacks get through by design: the sandbox here is {grader.rung!r}")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True, check=False
    )


def run_changed(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the benchmarks to import, not the folders of the working directory."""
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=os.environ | {"PYTHONPATH": str(BENCHMARK.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def check_soak(gradings: int, out: Path) -> None:
    result = run("--gradings", str(gradings), "--json", str(out))
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(out.read_text())
    assert report["ended"]
    assert (report["gradings"], report["wrong verdicts"]) == (gradings, 0)
    assert report["problems"] == []
    # What was measured is there: two zygotes for programs and two for test scripts.
    last = report["measures"][-1]
    assert (last["gradings"], last["zygotes"]) == (gradings, 4)
    assert last["zygote descriptors"] > 0


def check_twice(programs: int, out: Path) -> None:
    result = run("--twice", str(programs), "--json", str(out))
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(out.read_text())
    assert (report["programs"], report["differing"], report["changed by a comment"]) == (
        programs,
        0,
        0,
    )
    assert report["copies"] >= programs // 10


def test_a_grader_stays_right_and_small_over_thousands_of_programs(tmp_path: Path) -> None:
    check_soak(2_000, tmp_path / "report.json")


def test_order_and_worker_count_change_no_verdict(tmp_path: Path) -> None:
    check_twice(500, tmp_path / "report.json")


@pytest.mark.slow
def test_a_grader_stays_right_and_small_over_a_hundred_thousand_programs(tmp_path: Path) -> None:
    check_soak(100_000, tmp_path / "report.json")


@pytest.mark.slow
def test_order_and_worker_count_change_no_verdict_of_the_whole_course(tmp_path: Path) -> None:
    check_twice(20_000, tmp_path / "report.json")


def test_the_soak_tells_leaks_wrong_verdicts_and_changed_canaries() -> None:
    result = run_changed(LEAKS)
    assert result.returncode == 1, result.stderr
    told = [line for line in result.stdout.splitlines() if line.startswith("WRONG: ")]
    for expected in (
        " wrong verdicts",
        "outside: file folder/file: ",
        "supervisor memory grew",
        "processes grew",
        "supervisor descriptors grew",
        "temporary files grew",
    ):
        assert any(expected in line for line in told), (expected, result.stdout)
    assert "instead of 0.123" in result.stdout


def test_grading_twice_tells_changed_verdicts() -> None:
    result = run_changed(CHANGED_VERDICTS)
    assert result.returncode == 1, result.stderr
    assert "WRONG: 1 verdicts differ between the runs" in result.stdout
    assert "WRONG: 2 verdicts changed by a comment" in result.stdout


def test_an_interrupted_soak_reports_what_it_saw() -> None:
    with subprocess.Popen(
        [sys.executable, str(BENCHMARK), "--gradings", "1000000", "--every", "500"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        assert " of 1000000, 0 wrong" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the canary process, too
        out, errors = process.communicate()
    assert process.returncode == 130, out + errors
    assert " gradings, 0 wrong" in out
    assert "settled" in out


def test_the_attacks_that_the_soak_treats_apart_exist() -> None:
    program = "import grading_soak as s\nprint(*s.SLOW_ATTACKS | s.EXACT_ATTACKS)"
    named = run_changed(program).stdout.split()
    assert named
    assert set(named) <= load_attacks().keys()
