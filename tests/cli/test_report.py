"""`novicegym report` on rollouts of a log of one's own."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from novicegym.agents.registry import make_agent
from novicegym.courses.load import load_course
from novicegym.courses.splits import take_split
from novicegym.eval.rollouts import rollout

PROGRAMS = ("def f(x) return x", "def f(x): return x", "def f(x): return x + 2", "def f(x): pass")


def novicegym(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "novicegym", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of two students, its tests, and a rollout on it."""
    folder = tmp_path_factory.mktemp("played")
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["who", "task", "when", "text", "mark"])
        for student in ("ann", "ben"):
            for minute, program in enumerate((*PROGRAMS, "def f(x): return x * 2")):
                mark = "100" if minute == len(PROGRAMS) else "0"
                writer.writerow([student, "double", f"2024-09-01 10:0{minute}", program, mark])
    about = {
        "assignment_id": "double",
        "title": "Twice",
        "prompt": "Write f(x).",
        "entry_point": "f",
    }
    cases = [{"args": [x], "expected": 2 * x} for x in (0, 2)]
    (folder / "tests.json").write_text(json.dumps([about | {"cases": cases}]))
    mapping = ("student=who", "assignment=task", "time=when", "code=text", "grade=mark")
    done = novicegym(
        *("rollout", "-c", f"table:{folder / 'log.csv'}", "--tests", folder / "tests.json"),
        *(part for pair in mapping for part in ("--column", pair)),
        *("--reader", "grade_scale=100", "--agent", "persistence", "-o", folder / "run"),
    )
    assert done.returncode == 0, done.stderr
    return folder


def browsed(page: Path) -> Any:
    text = page.read_text("utf-8")
    [data] = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S)
    return json.loads(data)


def test_the_course_adds_prompts_and_tests_and_is_read_as_the_rollout_read_it(folder: Path) -> None:
    options = ["-c", f"table:{folder / 'log.csv'}", "--tests", folder / "tests.json"]
    done = novicegym("report", folder / "run", *options, "--samples", "5", "-o", folder / "with")
    assert done.returncode == 0, done.stderr
    data = browsed(folder / "with" / "report.html")
    assert data["assignments"]["double"]["prompt"] == "Write f(x)."
    assert data["assignments"]["double"]["tests"] == ["f(0) gives 0", "f(2) gives 4"]
    assert {start["student"] for start in data["starts"]} == {"ann", "ben"}


def test_without_the_course_the_page_says_that_prompts_are_missing(folder: Path) -> None:
    done = novicegym("report", folder / "run", "--samples", "5", "-o", folder / "without")
    assert done.returncode == 0, done.stderr
    page = folder / "without" / "report.html"
    assert browsed(page)["assignments"] == {}
    assert "Prompts and tests are not shown" in page.read_text("utf-8")


def test_a_run_made_from_python_says_nothing_of_its_source(tmp_path: Path) -> None:
    course = take_split(load_course("cs1"), "trajectories:4")
    agent = make_agent("persistence", course)
    rollout(course, agent, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["source"] == {}
    for name, options in (("without", []), ("with", ["-c", "cs1"])):
        done = novicegym(
            *("report", tmp_path / "run", *options, "--samples", "5"), "-o", tmp_path / name
        )
        assert done.returncode == 0, done.stderr
        assert bool(browsed(tmp_path / name / "report.html")["assignments"]) == (name == "with")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--baseline", "nobody"], "unknown baseline 'nobody'"),
        (["--course", "cs1"], "none of the assignments that were played"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    folder: Path, tmp_path: Path, options: list[str], error: str
) -> None:
    done = novicegym("report", folder / "run", *options, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert error in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
