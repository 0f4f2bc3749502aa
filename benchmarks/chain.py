"""The whole chain on one course: a student from scratch by every stage, rolled out and compared.

    python benchmarks/chain.py --out runs/chain                      cs1, one million parameters
    python benchmarks/chain.py --out runs/chain --seeds 0 1          two seeds, one after the other
    python benchmarks/chain.py --out runs/chain-gpu --size 85M --recipe small \\
        --preference-trajectories 1200 --test-trajectories 400        on a GPU
    python benchmarks/chain.py --out runs/itap --course progsnap2:PATH \\
        --train students:0.2:seed=0:rest --test students:0.2:seed=0:first

For each seed: a new model, `base` on the correct programs, `para` and `sft` from it, `dpo` and
`dapo` from sft, then a rollout of each by the paper's protocol beside persistence and retrieval.
Every step is a command of novicegym's, printed before it runs; what is finished is not run again,
so the same command goes on after Ctrl-C. At the end: the table with intervals by student (eval/
bootstrap.py), seconds a step took, and the slope of DAPO's reward over its steps with the
interval that drawing blocks of its steps anew gives.

The slices bound the time on two cores: --train-trajectories and --test-trajectories are drawn by
seed 0, whatever the seed of the model; DPO and DAPO learn from --preference-trajectories of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from novicegym.eval.bootstrap import METRICS, student_intervals
from novicegym.eval.metrics import score_steps
from novicegym.eval.records import is_finished, read_records
from novicegym.training.chain import INIT, PARENTS, PREFERENCE
from novicegym.training.tiny import SIZES

BASELINES = ("persistence", "retrieval")
BLOCK = 5
"""Steps of DAPO that are drawn together."""


def main() -> None:
    arguments = parse()
    for seed in arguments.seeds:
        for stage in (INIT, *PARENTS):
            train(arguments, seed, stage)
        for agent in (*BASELINES, *PARENTS):
            roll_out(arguments, seed, agent)
    report(arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--course", default="cs1")
    parser.add_argument("--train", default="term:Fall 2024", help="the part to learn from")
    parser.add_argument("--test", default="term:Spring 2025", help="the part to play")
    parser.add_argument("--size", default="1M", choices=SIZES)
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--train-trajectories", type=int, default=1200)
    parser.add_argument("--preference-trajectories", type=int, default=100)
    parser.add_argument("--test-trajectories", type=int, default=60)
    return parser.parse_args()


def train(arguments: argparse.Namespace, seed: int, stage: str) -> None:
    out = arguments.out / f"seed{seed}" / stage
    split = ["--split", arguments.train]
    if stage == INIT:
        # One model and one tokenizer a seed, of the training part alone.
        size = ["--size", arguments.size, "--seed", str(seed)]
        if not (out / "config.json").exists():
            run(out, ["model", "init", "--course", arguments.course, *split, *size])
        return
    count = arguments.train_trajectories
    if stage in PREFERENCE:
        count = arguments.preference_trajectories
    parent = arguments.out / f"seed{seed}" / PARENTS[stage]
    if not (out / "model").exists():
        resume = ["--resume"] if out.exists() else []
        run(
            out,
            [
                *("train", stage, "--recipe", arguments.recipe, "--model", str(parent), *resume),
                *("--course", arguments.course, *split, "--split", f"trajectories:{count}"),
                *("--set", f"seed={seed}"),
            ],
        )


def roll_out(arguments: argparse.Namespace, seed: int, agent: str) -> None:
    out = arguments.out / f"seed{seed}" / "rollouts" / agent
    if is_finished(out):
        return
    folder = arguments.out / f"seed{seed}"
    spec = agent if agent in BASELINES else f"hf:{folder / agent}"
    feedback = ["--feedback", "none"] if agent == "para" else []
    played = ["--split", arguments.test, "--split", f"trajectories:{arguments.test_trajectories}"]
    known = ["--learn-from", arguments.train]
    run(
        out,
        [
            *("rollout", "--agent", spec, "--course", arguments.course, *played, *known),
            *(*feedback, "--seed", str(seed)),
        ],
    )


def run(out: Path, command: list[str]) -> None:
    """Run a command of novicegym's and note its seconds beside its folder."""
    out.parent.mkdir(parents=True, exist_ok=True)
    told = ["novicegym", *command, "--out", str(out)]
    print("$", " ".join(f"'{part}'" if " " in part else part for part in told), flush=True)
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", *told], check=True)
    seconds = time.monotonic() - started
    with (out.parent / "seconds.jsonl").open("a") as file:
        file.write(json.dumps({"step": out.name, "seconds": round(seconds, 1)}) + "\n")


def report(arguments: argparse.Namespace) -> None:
    folders = [arguments.out / f"seed{seed}" for seed in arguments.seeds]
    print(f"\n{'agent':<12}" + "".join(f"{name:>28}" for name in METRICS))
    for agent in (*BASELINES, *PARENTS):
        runs = [score_steps(read_records(folder / "rollouts" / agent)) for folder in folders]
        cells = []
        found = student_intervals(runs)
        for interval in map(found.get, METRICS):
            shown = "-"
            if interval is not None:
                shown = f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
            cells.append(f"{shown:>28}")
        print(f"{agent:<12}" + "".join(cells))
    for folder in folders:
        low, slope, high = reward_slope(folder / "dapo" / "metrics.jsonl")
        print(
            f"{folder.name}: DAPO's mean reward changes by {slope:+.3f} [{low:+.3f}, {high:+.3f}] "
            "over the run"
        )
        for line in (folder / "seconds.jsonl").read_text().splitlines():
            step = json.loads(line)
            print(f"{folder.name}: {step['step']} took {step['seconds']:,.0f} s")


def reward_slope(metrics: Path) -> tuple[float, float, float]:
    """Return (low, value, high) of what a line through the rewards gains over the run.

    Steps are drawn anew in blocks of neighbours: from one to the next the policy changes little.
    """
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    points = np.array(
        [(line["step"], line["rollout/reward"]) for line in lines if "rollout/reward" in line]
    )
    span = np.ptp(points[:, 0])
    rng = np.random.default_rng(0)
    starts = np.arange(len(points) - BLOCK + 1)
    drawn = []
    for _ in range(1000):
        chosen = rng.choice(starts, size=len(points) // BLOCK)
        sample = points[(chosen[:, None] + np.arange(BLOCK)).ravel()]
        if np.ptp(sample[:, 0]):
            drawn.append(np.polyfit(*sample.T, 1)[0] * span)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(np.polyfit(*points.T, 1)[0] * span), float(high)


if __name__ == "__main__":
    main()
