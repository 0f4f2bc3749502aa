"""`novicegym demo`: the whole of it, small, on the embedded course."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novicegym.cli.options import ERR, OUT, progress_bar, take_splits
from novicegym.cli.rollout import play_agent
from novicegym.cli.table import tabulate

if TYPE_CHECKING:
    from novicegym.courses.model import Course

_TRAINING, _TEST = "term:Fall 2024", "term:Spring 2025"


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("runs/demo"),
    trajectories: Annotated[int, typer.Option(min=1, help="Trajectories to play.")] = 8,
    train_on: Annotated[
        int,
        typer.Option(min=0, help="Trajectories to train students on, from scratch; 0 trains none."),
    ] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Seed of slices, agents and models.")] = 0,
) -> None:
    """Train students from scratch, play them and all other agents, and print the table.

    On the embedded course, in minutes on two CPU cores. Writes the table and a page with one
    episode to look at. The same command again goes on where an interrupted one was.
    """
    from novicegym.agents.registry import describe_agents
    from novicegym.courses.load import load_course
    from novicegym.dialogs.serialize import DialogFormat
    from novicegym.eval.episodes import make_protocol
    from novicegym.runs import write_atomically

    whole = load_course("cs1")
    known = take_splits(whole, [_TRAINING])
    selectors = [_TEST, f"trajectories:{trajectories}:seed={seed}"]
    played = take_splits(whole, selectors)
    agents = {name: name for name, _ in describe_agents()}
    if train_on:
        agents |= _train(known, train_on, out / "models", seed)
    runs = []
    for name, agent in agents.items():
        fmt = DialogFormat(feedback="none" if name == "para" else "full")
        run = out / "runs" / name
        source = {"course": "cs1", "split": selectors, "learn_from": [_TRAINING]}
        play_agent(played, known, agent, run, make_protocol("paper", fmt), seed, 256, source)
        runs.append(run)
    results = tabulate(runs, "paper")
    write_atomically(out / "table.md", (results.to_markdown() + "\n").encode())
    write_atomically(out / "table.json", (json.dumps(results.to_json(), indent=2) + "\n").encode())
    write_atomically(out / "episode.html", _one_episode(played, known, seed).encode())
    OUT.print(results.to_rich())
    OUT.print(f"Wrote {out / 'table.md'}, {out / 'table.json'} and {out / 'episode.html'}")


def _train(known: Course, count: int, out: Path, seed: int) -> dict[str, str]:
    """Return an agent's spec for each student trained; none where training is not installed."""
    from novicegym.training.chain import train_chain

    try:
        import torch  # noqa: F401
        import trl  # noqa: F401
    except ImportError as missing:
        ERR.print(
            f"no student is trained, {missing.name} is missing: pip install 'novicegym[train]'"
        )
        return {}
    trained = train_chain(known, out, trajectories=count, seed=seed, bar=progress_bar)
    return {name: f"hf:{folder}" for name, folder in trained.items()}


def _one_episode(course: Course, pool: Course, seed: int) -> str:
    """Return the page of an episode of the novice, from a logged start."""
    from novicegym.agents.registry import make_agent
    from novicegym.envs.student import StudentEnv

    env = StudentEnv(course, render_mode="html", min_position=3)
    novice = make_agent("novice", pool, seed=seed)
    dialog, info = env.reset(seed=seed)
    ended = False
    while not ended:
        [action] = novice.act([dialog], [info])
        dialog, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
    page = env.render()
    assert page is not None
    return page
