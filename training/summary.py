"""What a training run came to, in lines to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def summarize(run: Path) -> list[str]:
    """Return what a finished run learnt from and how it ended; nothing where it does not tell."""
    try:
        data = json.loads((run / "data.json").read_text("utf-8"))
        lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
        said = [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return []
    return [_learnt_from(data), *_ended(said)]


def _learnt_from(data: dict[str, Any]) -> str:
    parts = []
    for part, counts in data.items():
        kind = next(kind for kind in ("rows", "pairs", "prefixes") if kind in counts)
        told = f"{part}: {counts[kind]:,} {kind}"
        for name in ("too_long", "identical"):
            left_out = counts.get(name, 0)
            number = len(left_out) if isinstance(left_out, list) else left_out
            told += f", {number:,} {name.replace('_', ' ')}" if number else ""
        parts.append(told)
    return "; ".join(parts)


def _ended(said: list[dict[str, Any]]) -> list[str]:
    steps = max((line["step"] for line in said), default=0)
    validations = [line for line in said if "eval_loss" in line]
    if validations:
        best = min(validations, key=lambda line: float(line["eval_loss"]))
        return [
            f"held-out loss {best['eval_loss']:.3f} at step {best['step']:,} of {steps:,}, the "
            f"checkpoint that was kept (of {len(validations)})"
        ]
    rewards = [line["rollout/reward"] for line in said if "rollout/reward" in line]
    if not rewards:
        return []
    tenth = max(1, len(rewards) // 10)
    first, last = (sum(part) / len(part) for part in (rewards[:tenth], rewards[-tenth:]))
    return [
        f"mean reward {first:.3f} in the first tenth of {steps:,} steps, {last:.3f} in the last"
    ]
