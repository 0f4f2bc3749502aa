"""All figures of hint requests from a log: a made one always, the real one where it is."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from novicegym.agents.asks import FEATURES, ITAP
from novicegym.courses.load import load_course
from novicegym.courses.readers.hint_requests import read_hint_requests
from novicegym.eval.asking_model import ask_states, fit_asks
from novicegym.eval.hint_effects import hint_effects
from novicegym.eval.hint_states import logged_states
from novicegym.grading.grader import Grader

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "hint_requests.py"

CODES = {
    "broken": "def double(x)\n    return 2 * x",
    "crash": "def double(x):\n    return y",
    "half": "def double(x):\n    return x * x",
    "right": "def double(x):\n    return 2 * x",
}


@pytest.fixture(scope="module")
def made_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen students: who crashes asks, and who asks then does better."""
    folder = tmp_path_factory.mktemp("log")
    rng = np.random.default_rng(0)
    rows: list[tuple[str, ...]] = []
    for student in range(15):
        for assignment in ("double", "twice"):
            code = "broken"
            for _ in range(5):
                rows.append(("Submit", f"s{student}", assignment, code))
                if code == "right":
                    break
                if asks := rng.random() < (0.8 if code == "crash" else 0.1):
                    rows.append(("X-HintRequest", f"s{student}", assignment, code))
                code = str(rng.choice(["crash", "half", "right"] if asks else ["broken", "crash"]))
    (folder / "CodeStates").mkdir()
    with (folder / "CodeStates" / "CodeStates.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("CodeStateID", "Code"), *CODES.items()])
    with (folder / "MainTable.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("EventType", "SubjectID", "ProblemID", "CodeStateID", "Order"))
        writer.writerows((*row, str(order)) for order, row in enumerate(rows))
    tests = [
        {
            "assignment_id": name,
            "prompt": "Write double(x).",
            "entry_point": "double",
            "cases": [{"args": [x], "expected": 2 * x} for x in (0, 2, 3, 5)],
        }
        for name in ("double", "twice")
    ]
    (folder / "assignments.json").write_text(json.dumps(tests))
    return folder


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    spec = importlib.util.spec_from_file_location("hint_requests", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", [str(BENCHMARK), *arguments])
    assert script.main() == 0
    return capsys.readouterr().out


def test_the_script_prints_all_figures_and_the_same_again(
    made_log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = tmp_path / "policy.json"
    options = (
        str(made_log),
        "--samples",
        "5",
        "--splits",
        "1",
        "--workers",
        "1",
        "--policy",
        str(policy),
    )
    first = printed(monkeypatch, capsys, *options)
    for part in ("## Requests", "| AUC |", "| asked_here |", "Matched exactly", "| solved within"):
        assert part in first
    assert json.loads(policy.read_text())["weights"]["runtime"] > 0
    assert printed(monkeypatch, capsys, *options) == first


def test_a_made_log_shows_what_was_put_into_it(made_log: Path, grader: Grader) -> None:
    requests = read_hint_requests(made_log)
    course = load_course(f"progsnap2:{made_log}")
    log = logged_states(course, requests, grader)
    assert log.requests == log.in_states == log.same_code == len(requests)
    solved = hint_effects(log.states, samples=50).effects["solved within 1"]
    assert solved.difference is not None
    assert solved.difference.low > 0


def test_the_policy_of_the_itap_logs_is_the_one_we_ship(shared: Path, grader: Grader) -> None:
    folder = shared / "data" / "itap"
    if not folder.is_dir():
        pytest.skip(f"the ITAP logs are not at {folder}")
    requests = read_hint_requests(folder)
    course = load_course(f"progsnap2:{folder}")
    log = logged_states(course, requests, grader)
    assert (len(log.states), sum(state.helped for state in log.states)) == (1422, 131)
    assert (log.before_first, log.after_correct, log.in_states) == (29, 10, 190)
    keys = [trajectory.key for trajectory in course.trajectories]
    policy = fit_asks(ask_states(log.states, requests, keys))
    assert policy.intercept == pytest.approx(ITAP.intercept, abs=0.01)
    assert policy.difficulty == pytest.approx(ITAP.difficulty, abs=0.001)
    for name in FEATURES:
        assert policy.weights[name] == pytest.approx(ITAP.weights[name], abs=0.01)
    found = hint_effects(log.states, samples=100)
    assert found.matched == 116
    solved, edited = found.effects["solved within 3"], found.effects["edit size"]
    assert solved.difference is not None
    assert edited.difference is not None
    assert solved.difference.low < 0 < solved.difference.high
    assert edited.difference.value == pytest.approx(0.075, abs=0.005)
