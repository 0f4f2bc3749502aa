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
from torch.utils.tensorboard import SummaryWriter
from transformers import PrinterCallback, TrainerCallback
from transformers.integrations import TensorBoardCallback

from novicegym.errors import UsageError
from novicegym.runs import write_atomically
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
        config = kind(**_arguments(recipe, out, rows, validate), **more)
    # One process trains on one device, though it may see others (`accelerate launch` uses them).
    config._n_gpu = min(config.n_gpu, 1)
    return config


def _arguments(recipe: Recipe, out: Path, rows: int, validate: bool) -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    brain_floats = cuda and torch.cuda.is_bf16_supported(including_emulation=False)
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
        "bf16": brain_floats,
        "fp16": cuda and not brain_floats,
        "dataloader_pin_memory": cuda,
        # What is averaged over several steps would be lost in part when a run is broken off.
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "log_level_replica": "error",
        # Every weight that is trained has a part in every step.
        "ddp_find_unused_parameters": False,
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
    done = 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])
    interrupt = _Interrupt()
    trainer.remove_callback(PrinterCallback)
    if trainer.is_world_process_zero():
        trainer.add_callback(_Metrics(trainer, out / METRICS, done))
        # What a killed run said after its last checkpoint is said again, and hidden here.
        board = SummaryWriter(str(out / "tensorboard"), purge_step=done + 1)
        trainer.add_callback(TensorBoardCallback(board))
        trainer.add_callback(_Progress(progress))
    trainer.add_callback(_BestCheckpoint(out / CHECKPOINTS))
    trainer.add_callback(interrupt)
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
    return f"the memory does not suffice; try {', or '.join(advice)}"


def _write_model(trainer: Any, model: Path) -> None:
    partial = model.with_name(f".{model.name}.tmp")
    if trainer.is_fsdp_enabled:  # whole, whatever its checkpoints are
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(partial))  # by all processes: each may hold a part
    if trainer.is_world_process_zero():
        # TRL's frozen copy of the adapter that DPO began with, and settings that run.json has.
        shutil.rmtree(partial / "ref", ignore_errors=True)
        (partial / "training_args.bin").unlink()
        os.replace(partial, model)


class _Metrics(TrainerCallback):  # type: ignore[misc]
    """Writes what the trainer reports, a JSON object a line."""

    def __init__(self, trainer: Any, path: Path, done: int) -> None:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        # A line of before the checkpoint is whole; the closing one is written again.
        said = [line for line in map(_parsed, lines) if line.get("step", done + 1) <= done]
        said = [line for line in said if _SUMMARY not in line]
        write_atomically(path, "".join(map(_line, said)).encode())
        self._path = path
        self._losses = [line["loss"] for line in said if "loss" in line]
        # TRL counts the tokens of one process of the run.
        trainer._total_train_tokens = max((line.get("num_tokens", 0) for line in said), default=0)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        line = {"step": state.global_step} | logs
        if _SUMMARY in line and state.global_step < state.max_steps:
            return  # it was broken off: this is no summary of the run
        if "loss" in line:
            self._losses.append(line["loss"])
        if "train_loss" in line and self._losses:
            line["train_loss"] = fmean(self._losses)  # of the whole run, not of this process
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(line))


def _line(report: dict[str, Any]) -> str:
    return json.dumps(report, sort_keys=True) + "\n"


def _parsed(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:  # cut off by a kill
        return {}


class _Progress(TrainerCallback):  # type: ignore[misc]
    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self._progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._progress is not None:
            self._progress(state.global_step, state.max_steps)


class _BestCheckpoint(TrainerCallback):  # type: ignore[misc]
    """Keeps the path of the best checkpoint right.

    A resumed run's folder may have moved; and of a sharded model's checkpoint transformers looks
    for the folder before it is there, and so would keep the best but one.
    """

    def __init__(self, checkpoints: Path) -> None:
        self._checkpoints = checkpoints

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        best = self._checkpoints / f"checkpoint-{state.best_global_step}"
        if best.is_dir():
            state.best_model_checkpoint = str(best)

    on_save = on_train_begin


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
        # A launcher of several processes sends a second one itself.
        if self.asked and not distributed.is_initialized():
            raise KeyboardInterrupt
        self.asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if distributed.is_initialized():
            # Processes step together, so they end together.
            asked = torch.tensor(int(self.asked), device=args.device)
            distributed.all_reduce(asked, distributed.ReduceOp.MAX)
            self.asked = bool(asked)
        if self.asked:
            control.should_save = control.should_training_stop = True
