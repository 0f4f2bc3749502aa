"""SFT, PARA and the base model: cross entropy on the model's turns alone (paper, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from novicegym.training.fit import make_config
from novicegym.training.models import LoadedModel
from novicegym.training.recipes import Recipe
from novicegym.training.rows import Row


def make_sft_trainer(
    recipe: Recipe,
    loaded: LoadedModel,
    training: Sequence[Row],
    validation: Sequence[Row],
    out: Path,
) -> SFTTrainer:
    """Return the trainer; rows come with their labels, so that TRL neither cuts nor masks any."""
    config = make_config(
        SFTConfig,
        recipe,
        out,
        len(training),
        validate=True,
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        # Rows of like length share a batch: on CPU padding is computed like text.
        train_sampling_strategy="group_by_length",
    )
    return SFTTrainer(
        model=loaded.model,
        args=config,
        train_dataset=_dataset(training),
        eval_dataset=_dataset(validation),
        processing_class=loaded.dialogs.tokenizer,
    )


def _dataset(rows: Sequence[Row]) -> Any:
    return Dataset.from_dict(
        {
            "input_ids": [row.input_ids for row in rows],
            "labels": [row.labels for row in rows],
        }
    )
