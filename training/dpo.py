"""DPO on encoded pairs; the reference is the policy it starts from (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from novicegym.training.fit import make_config
from novicegym.training.models import LoadedModel
from novicegym.training.order import OrderByLength
from novicegym.training.recipes import DpoRecipe

_COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")


class _PairTrainer(DPOTrainer):  # type: ignore[misc]
    """Takes pairs as they are: windowed and tokenized, with nothing left to cut."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> OrderByLength:
        prompts, chosen, rejected = (self.train_dataset[name] for name in _COLUMNS)
        return OrderByLength(
            [
                len(prompt) + max(len(one), len(other))
                for prompt, one, other in zip(prompts, chosen, rejected, strict=True)
            ],
            self.args.train_batch_size,
            self.args.seed,
            lambda: int(self.state.epoch or 0),
        )


def make_dpo_trainer(
    recipe: DpoRecipe,
    loaded: LoadedModel,
    training: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    out: Path,
) -> DPOTrainer:
    """Return the trainer. Of an adapter that is continued TRL keeps a frozen copy as reference."""
    config = make_config(
        DPOConfig,
        recipe,
        out,
        len(training),
        validate=True,
        beta=recipe.beta,
        loss_type=["sigmoid"],
        max_length=None,
        disable_dropout=True,
    )
    return _PairTrainer(
        model=loaded.model,
        args=config,
        train_dataset=_dataset(training),
        eval_dataset=_dataset(validation),
        processing_class=loaded.dialogs.tokenizer,
    )


def _dataset(rows: Sequence[Mapping[str, Any]]) -> Any:
    return Dataset.from_dict({name: [list(row[name]) for row in rows] for name in _COLUMNS})
