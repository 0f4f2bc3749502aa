"""The files of a language model: where its parts are, and why it cannot be loaded.

Agents and training share it, so that a model has the same parts, and the same mistakes the same
words, wherever it is named. Covered: model directories, directories that hold a peft adapter,
folders of training runs, ids of the Hugging Face hub. Not covered: adapters on the hub.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novicegym.dialogs.serialize import DialogFormat
from novicegym.errors import UsageError
from novicegym.runs import read_config

ADAPTER_FILE = "adapter_config.json"
"""A directory that has it holds an adapter."""
MODEL = "model"
"""Folder of the trained model within its run."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_SHOWN_CHARS = 250


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where the parts of a model are: absolute directories, or ids of the hub."""

    name: str
    """What tables call it."""
    base: str
    """The weights."""
    adapter: str | None
    """What is to be put beside them: a directory."""
    tokenizer: str
    run: Path | None = None
    """The folder of the training run that it comes from."""

    @property
    def named(self) -> str:
        """What the model was named by: its adapter where it has one."""
        return self.adapter or self.base


def find_model(model: str) -> ModelFiles:
    """Return the parts of a model named by a directory, a training run or an id of the hub.

    Raises UsageError for what is none of them, for a run that has not ended, and for an adapter
    whose base is not there.
    """
    # An adapter will name its base by this path, from wherever it is continued.
    folder = Path(model).absolute()
    run = folder.parent if folder.name == MODEL else folder
    from_run = run if _is_of_training(run) else None
    if from_run is not None:
        folder = run / MODEL
        if not folder.is_dir():
            raise UsageError(
                f"{model} holds no model: its training has not ended; go on with --resume"
            )
        name = run.resolve().name
    else:
        name = folder.resolve().name
    if not folder.is_dir():
        if folder.exists():
            raise UsageError(f"{model} is a file; a model is a directory")
        if not _may_be_on_the_hub(model):
            raise UsageError(
                f"there is no model directory {model!r}, and the hub's models are named OWNER/NAME"
            )
        return ModelFiles(model, model, None, model)
    place = str(folder)
    if not (folder / ADAPTER_FILE).exists():
        if not (folder / "config.json").exists():
            raise UsageError(f"{model} holds no model: neither config.json nor {ADAPTER_FILE}")
        return ModelFiles(name, place, None, place, from_run)
    base = _base_of(folder)
    # An adapter is saved with the tokenizer it was trained with, and its template.
    own = (folder / "tokenizer_config.json").exists()
    return ModelFiles(name, base, place, place if own else base, from_run)


def _is_of_training(run: Path) -> bool:
    """Whether a folder is that of a training run; rollouts have a run.json, too."""
    return (run / "run.json").is_file() and read_config(run).get("kind") == "training"


def _base_of(adapter: Path) -> str:
    """Return where the weights are that an adapter was trained beside."""
    settings = adapter / ADAPTER_FILE
    try:
        base = json.loads(settings.read_bytes())["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError):
        base = None
    if not (isinstance(base, str) and base):
        raise UsageError(f"{settings} does not name the adapter's base model")
    if Path(base).is_dir():
        return str(Path(base).absolute())
    if not _may_be_on_the_hub(base):
        raise UsageError(
            f"the adapter in {adapter} was trained on {base!r}, which is not there; "
            f"correct base_model_name_or_path in its {ADAPTER_FILE}"
        )
    return base


def _may_be_on_the_hub(model: str) -> bool:
    """Whether to ask the hub, which takes long where there is no network: not for runs/typo."""
    return _HUB_ID.fullmatch(model) is not None and not Path(model).parent.is_dir()


def put_adapter(model: Any, adapter: str, *, trainable: bool = False) -> Any:
    """Return a loaded model with the adapter of a directory beside its weights."""
    try:
        from peft import PeftModel
    except ImportError as error:
        raise missing_extra(error) from None
    with loading(adapter), without_the_warning_of_peft():
        return PeftModel.from_pretrained(model, adapter, is_trainable=trainable)


def longest_context(config: Any) -> int:
    """Return the tokens that a model of transformers can read; sys.maxsize without a limit."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or sys.maxsize)


def trained_context(files: ModelFiles) -> int | None:
    """Return the tokens of prompt and answer that a run trained its model on; None for no run.

    Further on are positions the model has never seen.
    """
    if files.run is None:
        return None
    context: int = read_config(files.run)["recipe"]["context"]
    return context


def trained_format(files: ModelFiles, asked: DialogFormat) -> DialogFormat | None:
    """Return how the dialogs must be written for a run's model, as it was trained; None for no run.

    asked: how they are to be written. Stages with and without feedback both start from a base,
    so of a base the feedback is as asked.
    """
    if files.run is None:
        return None
    recipe = read_config(files.run)["recipe"]
    feedback = asked.feedback if recipe["stage"] == "base" else recipe["feedback"]
    return DialogFormat(recipe["code"], feedback)


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Tell in one line why a model cannot be loaded; files that are here show no bar.

    Memory that does not suffice is left to the caller, who knows what needs less.
    """
    import torch
    from safetensors import SafetensorError
    from transformers.utils import logging as transformers_logging

    silent = Path(model).is_dir() and transformers_logging.is_progress_bar_enabled()
    if silent:
        transformers_logging.disable_progress_bar()
    try:
        yield
    except (UsageError, torch.OutOfMemoryError):
        raise
    except (ImportError, OSError, ValueError, RuntimeError, SafetensorError) as error:
        if Path(model).is_dir():
            raise UsageError(f"{model} cannot be loaded: {shortly(error)}") from None
        raise UsageError(
            f"{model} is no directory here and cannot be loaded from the hub; "
            f"a local model directory works, too ({shortly(error)})"
        ) from None
    finally:
        if silent:
            transformers_logging.enable_progress_bar()


@contextmanager
def without_the_warning_of_peft() -> Iterator[None]:
    """peft 0.21 reads an attribute that transformers 5.23 has renamed; users can do nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def missing_extra(error: ImportError) -> UsageError:
    """Return the error of one who has not installed what language models need."""
    return UsageError(f"language models need {error.name}: pip install 'novicegym[train]'")


def shortly(error: Exception) -> str:
    """Return what an error of a library says as the start of one line."""
    told = " ".join(str(error).split())
    if len(told) > _SHOWN_CHARS:
        told = told[:_SHOWN_CHARS].rpartition(" ")[0] + " ..."
    return told or type(error).__name__
