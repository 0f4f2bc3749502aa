"""Agreement with the labels of real programs, on a slice; benchmarks/agreement.py does all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "agreement.py"


def test_nus_labels_of_one_assignment_are_reproduced(shared: Path) -> None:
    result = subprocess.run(
        [
            sys.executable,
            str(BENCHMARK),
            "nus",
            str(shared / "data" / "nus"),
            "--only",
            "question_4",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    [row] = [line for line in result.stdout.splitlines() if line.startswith("question_4")]
    assert row.split()[1:4] == ["552", "551", "99.82"]
    assert "wrong_4_352: recorded wrong" in result.stdout  # the twin of a correct program


def test_itap_flags_of_one_assignment_are_reproduced(shared: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(BENCHMARK), "itap", str(shared / "data" / "itap"), "--only", "oneToN"],
        capture_output=True,
        text=True,
        check=True,
    )
    [row] = [line for line in result.stdout.splitlines() if line.startswith("oneToN")]
    assert row.split()[1:4] == ["190", "190", "100.00"]
