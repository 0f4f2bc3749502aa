"""Run a trainer so that the run can be trusted: resumed, interrupted, measured.

In the run's folder: run.json (what made it), metrics.jsonl (a line for each report of the trainer),
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from novicegym.errors import UsageError
from novicegym.training.recipes import Recipe

CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"
_REPORTS = 100
"""How often a run reports, about."""


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
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(out / "tensorboard")
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
        "logging_steps": max(1, steps // _REPORTS),
        "logging_first_step": True,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "report_to": ["tensorboard"],
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

    Raises KeyboardInterrupt after Ctrl-C, when a checkpoint is written, and UsageError when the
    memory does not suffice.
    """
    checkpoint = get_last_checkpoint(str(out / CHECKPOINTS)) if resume else None
    interrupt = _Interrupt()
    # What it reports goes into files.
    trainer.remove_callback(PrinterCallback)
    for callback in (_Metrics(out / METRICS, checkpoint), _Progress(progress), interrupt):
        trainer.add_callback(callback)
    try:
        with interrupt:
            trainer.train(resume_from_checkpoint=checkpoint)
    except RuntimeError as error:  # OutOfMemoryError is one
        if "out of memory" in str(error).lower():
            raise UsageError(_out_of_memory(trainer)) from error
        raise
    if interrupt.asked:
        raise KeyboardInterrupt
    if trainer.is_world_process_zero():
        _write_model(trainer, model)


def _write_model(trainer: Any, model: Path) -> None:
    partial = model.with_name(f".{model.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    trainer.save_model(str(partial))
    trainer.processing_class.save_pretrained(str(partial))
    os.replace(partial, model)


def _out_of_memory(trainer: Any) -> str:
    size = trainer.args.per_device_train_batch_size
    smaller = f"batch_size={size // 2} accumulation={2 * trainer.args.gradient_accumulation_steps}"
    advice = [f"--set {part}" for part in smaller.split()] if size > 1 else []
    if not trainer.args.gradient_checkpointing:
        advice.append("--set gradient_checkpointing=true")
    advice += ["a smaller --set context", "--set adapter=qlora"]
    return f"the device has not enough memory; try {', or '.join(advice)}, then --resume"


class _Metrics(TrainerCallback):  # type: ignore[misc]
    """Writes what the trainer reports, a JSON object a line."""

    def __init__(self, path: Path, checkpoint: str | None) -> None:
        self._path = path
        self._first_step = 0 if checkpoint is None else int(checkpoint.rpartition("-")[2])

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:  # what a killed run said after its last checkpoint
            lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
            kept = [line for line in lines if _step_of(line) <= self._first_step]
            self._path.write_text("".join(f"{line}\n" for line in kept), "utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if state.is_world_process_zero and logs:
            line = json.dumps({"step": state.global_step} | logs, sort_keys=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the line that a kill cut off
        return math.inf


class _Progress(TrainerCallback):  # type: ignore[misc]
    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self._progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._progress is not None and state.is_world_process_zero:
            self._progress(state.global_step, state.max_steps)


class _Interrupt(TrainerCallback):  # type: ignore[misc]
    """Ends the training after the step in which Ctrl-C came; a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before: Any = signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.asked:
            control.should_save = control.should_training_stop = True
