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
bootstrap.py), what the stages differ by on the same students, the seconds a step took, and what
DAPO earns on the prefixes of its first pass when it meets them in its last.

The slices bound the time on two cores: --train-trajectories and --test-trajectories are drawn by
seed 0, whatever the seed of the model; DPO and DAPO learn from --preference-trajectories of them.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from novicegym.eval.bootstrap import (
    METRICS,
    Difference,
    Interval,
    paired_differences,
    student_intervals,
)
from novicegym.eval.metrics import score_steps
from novicegym.eval.records import is_finished, read_records
from novicegym.runs import open_run
from novicegym.training.chain import INIT, PARENTS, PREFERENCE
from novicegym.training.recipes import read_recipe, to_json
from novicegym.training.tiny import SIZES

BASELINES = ("persistence", "retrieval")
COMPARED = (("sft", "base"), ("sft", "para"), ("dpo", "sft"), ("dapo", "sft"))


def main() -> None:
    arguments = parse()
    recipes = {stage: to_json(read_recipe(stage, arguments.recipe)) for stage in PARENTS}
    settings = {
        name: value for name, value in vars(arguments).items() if name not in ("out", "seeds")
    }
    for seed in arguments.seeds:
        # What is there already was made with these settings, or the table would mix two.
        open_run(arguments.out / f"seed{seed}", settings | {"kind": "chain", "recipes": recipes})
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
    process = subprocess.Popen([sys.executable, "-m", *told])
    try:
        process.wait()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.wait()  # it has been told, too, and saves what it has
        raise
    finally:
        seconds = round(time.monotonic() - started, 1)
        with (out.parent / "seconds.jsonl").open("a") as file:
            file.write(json.dumps({"step": out.name, "seconds": seconds}) + "\n")
    if process.returncode:
        raise SystemExit(process.returncode)


def report(arguments: argparse.Namespace) -> None:
    folders = [arguments.out / f"seed{seed}" for seed in arguments.seeds]
    runs = {
        agent: [score_steps(read_records(folder / "rollouts" / agent)) for folder in folders]
        for agent in (*BASELINES, *PARENTS)
    }
    print(f"\n{'agent':<12}" + "".join(f"{name:>28}" for name in METRICS))
    for agent, played in runs.items():
        found = student_intervals(played)
        print(f"{agent:<12}" + "".join(shown(found[name]) for name in METRICS))
    print("\nhow much higher, on the same students")
    for one, other in COMPARED:
        differences = paired_differences(runs[other], runs[one])
        print(f"{one + ' - ' + other:<12}" + "".join(shown(differences[name]) for name in METRICS))
    print()
    for folder in folders:
        print(f"{folder.name}: {gain_of_a_pass(folder / 'dapo')}")
        seconds: dict[str, float] = defaultdict(float)
        for line in (folder / "seconds.jsonl").read_text().splitlines():
            step = json.loads(line)
            seconds[step["step"]] += step["seconds"]
        for name, taken in seconds.items():
            print(f"{folder.name}: {name} took {taken:,.0f} s")


def shown(value: Interval | Difference | None) -> str:
    interval = value.interval if isinstance(value, Difference) else value
    if interval is None:
        return f"{'-':>28}"
    return f"{f'{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]':>28}"


def gain_of_a_pass(run: Path) -> str:
    """Return how much more DAPO earned on its prefixes in its last pass than in its first.

    All passes read the prefixes in the same order, so that the difference of two steps is not
    that of what they were asked. Its interval comes from drawing the pairs of steps anew.
    """
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rewards = np.array([line["rollout/reward"] for line in lines if "rollout/reward" in line])
    passes = int(json.loads((run / "run.json").read_text())["recipe"]["epochs"])
    steps = len(rewards) // max(1, passes)
    if passes < 2 or not steps:
        return "DAPO saw its prefixes once: nothing to compare its rewards with"
    gains = rewards[-steps:] - rewards[:steps]
    drawn = np.random.default_rng(0).choice(gains, size=(10_000, steps)).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return (
        f"DAPO's mean reward on the same prefixes: {rewards[:steps].mean():+.3f} in pass 1, "
        f"{gains.mean():+.3f} [{low:+.3f}, {high:+.3f}] more in pass {passes} ({steps} steps each)"
    )


if __name__ == "__main__":
    main()
