"""Run folders made of nothing but records, and the report of some that are as hostile as can be."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from novicegym.eval.records import encode_shard, write_shard
from novicegym.eval.report.browser import browser_data
from novicegym.eval.report.collect import Report, collect
from novicegym.eval.report.policies import Policy, read_policies
from novicegym.eval.report.write import require_packages, write_report
from novicegym.runs import open_run

# Files of tests are not importable by name.
_RUNNING = runpy.run_path(str(Path(__file__).parent / "chromium.py"))["running"]

HOSTILE = (
    "x = \"</script><script>console.error('broken out')</script>\"\n"
    "y = '<img src=x onerror=console.error(1)>'  # <!--<script>\n"
    "z = '&lt;b&gt;' + \"\u202e\u2028\"\n"
)
EVIL_NAME = "evil$<img src=x onerror=console.error(2)>"
EVIL_STUDENT = "s0<b>&'\""

_PROGRAMS = (
    ("def f(x)\n    return x\n", Fraction(0), "compile", "0000"),
    ("def f(x):\n    return y\n", Fraction(0), "runtime", "0000"),
    ("def f(x):\n    return x\n", Fraction(1, 4), "logical", "1000"),
    ("def f(x):\n    # twice\n    return x + x + 1\n", Fraction(1, 2), "logical", "1100"),
    (HOSTILE, Fraction(3, 4), "logical", "1110"),
    ("def f(x):\n    return 2 * x\n", Fraction(1), "correct", "1111"),
)
_STEPS = 5


def _rows(agent: str, seed: int) -> list[dict[str, Any]]:
    """Return the records of an agent that errs at random: 8 students, 2 assignments each.

    The students are the same for every agent and seed. The agent "logged" does what they do.
    """
    students, policy = np.random.default_rng(0), np.random.default_rng([seed, len(agent)])
    rows = []
    for student in (EVIL_STUDENT, *(f"s{number}" for number in range(1, 8))):
        # The first is what every object of the page's script has, too.
        for assignment in ("constructor", "add<i>"):
            length = int(students.integers(4, 9))
            log = [int(one) for one in students.integers(0, 5, length - 1)]
            log.append(5 if students.random() < 0.8 else 2)
            for position in range(3, length):
                stopped = False
                for step in range(1, min(_STEPS, length - position) + 1):
                    own = log[position + step - 1]
                    logged = _PROGRAMS[own]
                    mine = _PROGRAMS[own if agent == "logged" else int(policy.integers(0, 6))]
                    row = {
                        "course": "made",
                        "synthetic": True,
                        "agent": agent,
                        "protocol": "paper",
                        "seed": seed,
                        "student_id": student,
                        "assignment_id": assignment,
                        "position": position,
                        "step": step,
                        "logged_code": logged[0],
                        "logged_grade_num": logged[1].numerator,
                        "logged_grade_den": logged[1].denominator,
                        "logged_outcome": logged[2],
                        "logged_case_bits": logged[3],
                        "logged_length": length,
                        "final_logged_grade_num": _PROGRAMS[log[-1]][1].numerator,
                        "final_logged_grade_den": _PROGRAMS[log[-1]][1].denominator,
                    }
                    if not stopped:
                        row |= {
                            "completion": mine[0],
                            "generated_code": mine[0],
                            "grade_num": mine[1].numerator,
                            "grade_den": mine[1].denominator,
                            "outcome": mine[2],
                            "case_bits": mine[3],
                            "stop": "correct" if mine[1] == 1 else None,
                        }
                        stopped = mine[1] == 1
                    rows.append(row)
    return rows


def _write_run(
    folder: Path,
    agent: str,
    seed: int = 0,
    *,
    feedback: str = "full",
    steps: int = _STEPS,
    starts: tuple[int, ...] | None = None,
    source: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    config = {
        "kind": "rollout",
        "agent": agent,
        "seed": seed,
        "shards": 1,
        "source": {"course": "table:made.csv"} if source is None else source,
        "protocol": {"name": "paper", "format": {"feedback": feedback}},
    }
    open_run(folder, config)
    rows = [
        row | changes
        for row in _rows(agent, seed)
        if row["step"] <= steps and (starts is None or row["position"] in starts)
    ]
    write_shard(folder, 0, encode_shard(rows))
    return folder


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """Writes a run folder as a rollout leaves it: (folder, agent, seed, *, feedback, steps,
    starts, source, what is the same in all records)."""
    return _write_run


@dataclass(frozen=True)
class Made:
    """A report, and what it was made of."""

    runs: list[Path]
    policies: list[Policy]
    report: Report
    browser: dict[str, Any]
    out: Path

    @property
    def page(self) -> Path:
        return self.out / "report.html"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The students, persistence, a policy of two seeds and one with a hostile name."""
    require_packages()
    folder = tmp_path_factory.mktemp("report")
    runs = [
        _write_run(folder / "students", "logged"),
        _write_run(folder / "persistence", "persistence"),
        _write_run(folder / "m0", "_mine:make"),
        _write_run(folder / "evil", EVIL_NAME),
        _write_run(folder / "m1", "_mine:make", seed=1),
    ]
    policies, checked = read_policies(runs)
    report = collect(policies, checked, samples=50, splits=1)
    browser = browser_data(policies, episodes=20)
    write_report(report, browser, folder / "out")
    return Made(runs, policies, report, browser, folder / "out")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running headless Chromium (`chromium.py`)."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("no chromium on the PATH; on Debian: apt-get install chromium")
    with _RUNNING(executable, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
