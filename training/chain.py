"""All stages one after another, from random weights, small enough to wait for.

Covered: a student of a million parameters by each stage. Not covered: stages of your own choice,
which `novicegym train` runs one by one, and how well students do (`benchmarks/chain.py`).
"""

from __future__ import annotations

from pathlib import Path

from novicegym.courses.model import Course
from novicegym.courses.splits import sample_trajectories
from novicegym.training.recipes import read_recipe
from novicegym.training.stages import Bar, train
from novicegym.training.tiny import init_model

INIT = "init"
PARENTS = {"base": INIT, "para": "base", "sft": "base", "dpo": "sft", "dapo": "sft"}
"""What each stage of a chain starts from; in the order to run them."""

PREFERENCE = ("dpo", "dapo")
"""The stages that take several times as long over a trajectory as the others."""

_PASSES = {"dpo": "0.2", "dapo": "0.2"}
"""What they see of the trajectories here."""

_CONTEXT = "1024"
"""Half of the recipe's: so small a student often ends no turn, and fills a quarter of this."""


def train_chain(
    course: Course, out: Path, *, trajectories: int, seed: int, bar: Bar
) -> dict[str, Path]:
    """Train a student of a million parameters by each stage; return their runs' folders by stage.

    trajectories: how many of the course's the students learn from; the tokenizer sees all.
    What an earlier call finished or began in `out` is taken over. Raises UsageError where the
    trajectories are too few to hold some out.
    """
    if not (out / INIT).exists():
        init_model(course, out / INIT, size="1M", seed=seed)
    sample = sample_trajectories(course, trajectories, seed)
    for stage, parent in PARENTS.items():
        # Validated when it ends: a stage takes about a minute.
        values = {"model": str(out / parent), "seed": str(seed), "checkpoints": "1"}
        values["context"] = _CONTEXT
        if stage in _PASSES:
            values["epochs"] = _PASSES[stage]
        train(
            read_recipe(stage, "tiny", values),
            sample,
            out / stage,
            bar=bar,
            resume=(out / stage).exists(),
        )
    return {stage: out / stage for stage in PARENTS}
