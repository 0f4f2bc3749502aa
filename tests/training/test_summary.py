"""What a run says when it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from novicegym.training.summary import summarize


def run(folder: Path, data: dict[str, Any], said: list[dict[str, Any]]) -> Path:
    (folder / "data.json").write_text(json.dumps(data))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    return folder


def test_the_checkpoint_that_was_kept_and_what_was_left_out_are_told(tmp_path: Path) -> None:
    left_out = {"student_id": "s", "assignment_id": "a", "turn": 0, "tokens": 5000}
    data = {
        "training": {"rows": 1200, "too_long": [left_out, left_out]},
        "validation": {"rows": 30, "too_long": []},
    }
    said = [
        {"step": 50, "loss": 1.5},
        {"step": 50, "eval_loss": 1.25},
        {"step": 100, "eval_loss": 1.375},
        {"step": 100, "train_loss": 1.0, "train_runtime": 9.0},
    ]
    assert summarize(run(tmp_path, data, said)) == [
        "training: 1,200 rows, 2 too long; validation: 30 rows",
        "held-out loss 1.250 at step 50 of 100, the checkpoint that was kept (of 2)",
    ]


def test_pairs_that_cannot_be_learnt_from_are_counted_by_why(tmp_path: Path) -> None:
    data = {"training": {"pairs": 7, "too_long": 1, "identical": 3}}
    [told] = summarize(run(tmp_path, data, []))
    assert told == "training: 7 pairs, 1 too long, 3 identical"


@pytest.mark.parametrize(
    ("steps", "first", "last"), [(1, "-1.000", "-1.000"), (20, "-0.950", "0.850")]
)
def test_rewards_are_told_from_the_beginning_to_the_end(
    steps: int, first: str, last: str, tmp_path: Path
) -> None:
    said = [{"step": n + 1, "rollout/reward": -1 + n / 10} for n in range(steps)]
    prefixes, rewards = summarize(run(tmp_path, {"training": {"prefixes": 8}}, said))
    assert prefixes == "training: 8 prefixes"
    assert rewards.startswith(f"mean reward {first}")
    assert f"of {steps} steps, {last}" in rewards


def test_a_run_that_does_not_tell_is_no_error(tmp_path: Path) -> None:
    assert summarize(tmp_path) == []
    broken = run(tmp_path, {"training": {"rows": 1}}, [])
    (broken / "metrics.jsonl").write_text('{"step": 1, "lo')
    assert summarize(broken) == []
