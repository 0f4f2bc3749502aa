"""Run a trainer so that the run can be trusted: resumed, interrupted, measured.

In the run's folder: run.json (what made it), metrics.jsonl (a line for each step and validation),
tensorboard/, checkpoints/ (to go on from) and, at the end, the model. A killed run goes on from its
last checkpoint and ends with the metrics of an unbroken one; Ctrl-C saves a checkpoint first.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import distributed
from transformers import PrinterCallback, TrainerCallback
from transformers.integrations import TensorBoardCallback

from novicegym.errors import UsageError
from novicegym.training.recipes import Recipe

CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"
_STATE = "trainer_state.json"
"""What the trainer writes last into a checkpoint."""
_SUMMARY = "train_runtime"
"""A key of what the trainer reports at its end, and only then."""


def make_config(
    kind: Callable[..., Any], recipe: Recipe, out: Path, rows: int, *, validate: bool, **more: Any
) -> Any:
    """Return one of TRL's configurations: what all of them take, and `more`.

    rows: training rows of an epoch, all devices together. validate: whether checkpoints are
    compared by their loss on the held-out students, and the best one is kept.
    """
    with warnings.catch_warnings():
        # Its new name is not known to all versions of transformers that TRL works with.
        warnings.filterwarnings("ignore", message="`gradient_checkpointing` is deprecated")
        return kind(**_arguments(recipe, out, rows, validate), **more)


def _arguments(recipe: Recipe, out: Path, rows: int, validate: bool) -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    on_cpu = not cuda and not torch.backends.mps.is_available()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    steps = step_count(recipe, rows, world)
    every = max(1, math.ceil(steps / recipe.checkpoints))
    return {
        "output_dir": str(out / CHECKPOINTS),
        "num_train_epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.scheduler,
        "warmup_steps": math.ceil(recipe.warmup * steps),
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulation,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "optim": recipe.optimizer,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "use_cpu": on_cpu,
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        "fp16": cuda and not torch.cuda.is_bf16_supported(),
        "dataloader_pin_memory": cuda,
        # What is averaged over several steps would be lost in part when a run is broken off.
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
    } | (
        {
            "eval_strategy": "steps",
            "eval_steps": every,
            "per_device_eval_batch_size": recipe.batch_size,
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
        }
        if validate
        else {}
    )


def step_count(recipe: Recipe, rows: int, world: int = 1) -> int:
    """Return the optimizer steps of a run."""
    batches = math.ceil(rows / (recipe.batch_size * world))
    return max(1, math.ceil(recipe.epochs * math.ceil(batches / recipe.accumulation)))


def fit(
    trainer: Any,
    out: Path,
    model: Path,
    *,
    resume: bool,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train to the end and write the model to `model`; from the last checkpoint with `resume`.

    Raises KeyboardInterrupt after Ctrl-C, when a checkpoint is written.
    """
    checkpoint = last_checkpoint(out) if resume else None
    interrupt = _Interrupt()
    # What it reports goes into files.
    trainer.remove_callback(PrinterCallback)
    for callback in (_Metrics(trainer, out), _Progress(progress), interrupt):
        trainer.add_callback(callback)
    with interrupt:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if interrupt.asked:
        raise KeyboardInterrupt
    _write_model(trainer, model)


def last_checkpoint(out: Path) -> Path | None:
    """Return the last whole checkpoint of the run in `out`; a kill may leave one in part."""
    found = {}
    for state in (out / CHECKPOINTS).glob(f"checkpoint-*/{_STATE}"):
        try:
            found[json.loads(state.read_bytes())["global_step"]] = state.parent
        except ValueError:  # cut off
            continue
    return found[max(found)] if found else None


@contextmanager
def told_when_memory_is_short(recipe: Recipe) -> Iterator[None]:
    """Raise UsageError that says what to change when the memory does not suffice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's OutOfMemoryError is a RuntimeError
        signs = ("out of memory", "can't allocate memory")  # of a GPU, of a CPU
        if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in signs):
            raise UsageError(_out_of_memory(recipe)) from error
        raise


def _out_of_memory(recipe: Recipe) -> str:
    advice = []
    if recipe.batch_size > 1:
        smaller = max(n for n in range(1, recipe.batch_size) if recipe.batch_size % n == 0)
        accumulation = recipe.accumulation * recipe.batch_size // smaller
        advice.append(f"--set batch_size={smaller} --set accumulation={accumulation}")
    if not recipe.gradient_checkpointing:
        advice.append("--set gradient_checkpointing=true")
    if recipe.adapter != "qlora":
        advice.append("--set adapter=qlora")
    advice.append(f"a context of less than {recipe.context}")
    return f"the memory does not suffice; try, with another --out, {', or '.join(advice)}"


def _write_model(trainer: Any, model: Path) -> None:
    partial = model.with_name(f".{model.name}.tmp")
    trainer.save_model(str(partial))  # by all processes: each may hold a part
    if trainer.is_world_process_zero():
        # TRL's frozen copy of the adapter that DPO began with, and settings that run.json has.
        shutil.rmtree(partial / "ref", ignore_errors=True)
        (partial / "training_args.bin").unlink()
        os.replace(partial, model)


class _Metrics(TrainerCallback):  # type: ignore[misc]
    """Writes what the trainer reports: a JSON object a line, and for TensorBoard."""

    def __init__(self, trainer: Any, out: Path) -> None:
        self._trainer, self._out = trainer, out
        self._losses: list[float] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._find_best_checkpoint(state)
        if not state.is_world_process_zero:
            return
        from torch.utils.tensorboard import SummaryWriter

        # What a killed run said after its last checkpoint is said again.
        after = state.global_step + 1
        folder = str(self._out / "tensorboard")
        self._trainer.add_callback(
            TensorBoardCallback(SummaryWriter(folder, purge_step=after))
        )
        path = self._out / METRICS
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        said = [line for line in map(_read, lines) if line["step"] < after and _SUMMARY not in line]
        path.write_text("".join(map(_line, said)), "utf-8")
        self._losses = [line["loss"] for line in said if "loss" in line]
        # TRL counts anew in each process.
        self._trainer._total_train_tokens = max(
            (line["num_tokens"] for line in said if "num_tokens" in line), default=0
        )
