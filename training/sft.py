"""SFT, PARA and the base model: cross entropy on the model's turns alone (paper, section 4.1).

The loss of a step is the mean over all tokens of its rows that carry loss, however they are cut
into batches; so is the loss on the held-out students.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from novicegym.training.fit import make_config
from novicegym.training.models import LoadedModel
from novicegym.training.order import OrderByLength
from novicegym.training.recipes import Recipe
from novicegym.training.rows import NO_LOSS, Row


class _RowTrainer(SFTTrainer):  # type: ignore[misc]
    """Takes rows with their labels, so that TRL neither cuts nor masks any."""

    def _get_train_sampler(self, train_dataset: Any = None) -> OrderByLength:
        return OrderByLength(
            [len(ids) for ids in self.train_dataset["input_ids"]],
            self.args.train_batch_size,
            self.args.seed,
            lambda: int(self.state.epoch or 0),
        )

    def prediction_step(self, model: Any, inputs: Any, *others: Any, **more: Any) -> Any:
        # transformers weighs the batches by their rows; what counts is the tokens with loss.
        loss, *rest = super().prediction_step(model, inputs, *others, **more)
        tokens = (inputs["labels"] != NO_LOSS).sum() / len(inputs["labels"])
        return loss * tokens / self._validation_tokens_a_row, *rest

    @cached_property
    def _validation_tokens_a_row(self) -> float:
        rows = self.eval_dataset["labels"]
        return fmean(len(labels) - labels.count(NO_LOSS) for labels in rows)


def make_sft_trainer(
    recipe: Recipe,
    loaded: LoadedModel,
    training: Sequence[Row],
    validation: Sequence[Row],
    out: Path,
) -> SFTTrainer:
    """Return the trainer of rows that carry their labels."""
    config = make_config(
        SFTConfig,
        recipe,
        out,
        len(training),
        validate=True,
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    return _RowTrainer(
        model=loaded.model,
        args=config,
        train_dataset=_dataset(training),
        eval_dataset=_dataset(sorted(validation, key=lambda row: len(row.input_ids))),
        processing_class=loaded.dialogs.tokenizer,
    )


def _dataset(rows: Sequence[Row]) -> Any:
    return Dataset.from_dict(
        {
            "input_ids": [row.input_ids for row in rows],
            "labels": [row.labels for row in rows],
        }
    )
