"""DAPO in the environment: a policy answers logged prefixes and learns from what it earned.

TRL's GRPOTrainer optimises; `PrefixRollouts` is where its data come from. For every group of
completions it begins one episode, samples, plays and adds up what the environment's own reward
object says, and it replaces groups that teach nothing by groups of other prefixes (DAPO's dynamic
sampling, which TRL lacks). The dataset that TRL sees holds nothing but the numbers of prefixes.
Whether the policy is a student or a tutor is its chair's business (`chairs.py`).

Decisions:
- An advantage is a reward less its group's mean, not divided by the group's deviation: so in the
  published code, to which the paper refers for the loss (section 4.3). Dividing would make as much
  of a group that differs by a few tokens of length penalty as of one that differs by a tier.
- A rollout batch is used for one update, so the policy that answers is the one that learns and the
  importance ratio is 1; the clip range is set, but has no say before that changes. For the same
  reason there is no dropout, neither in answering nor in learning.
- With `horizon` above 1 a rollout earns the sum of its steps' rewards, the episode's return. The
  mean would pay a policy for ending an episode early, with the correct program that the student
  did not have yet: what coverage is the measure of.
- A rollout of several steps is one sequence, in which the grader's turns carry no loss. The policy
  so reads its own words of earlier steps; in evaluation it reads the program taken from them.

Covered: one process, and several that hold the whole model each. Not covered: a model sharded over
processes, which have to step together, and resampling lets each step as often as it needs.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pvariance
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from novicegym.agents.generation import generate
from novicegym.dialogs.serialize import Dialog
from novicegym.dialogs.tokens import DialogTokenizer
from novicegym.dialogs.windows import fit_prompt, fit_window
from novicegym.envs.episode import Episode, Start
from novicegym.errors import UsageError
from novicegym.training.chairs import Chair
from novicegym.training.fit import make_config
from novicegym.training.models import LoadedModel
from novicegym.training.recipes import OnPolicyRecipe

_ROUNDING = 1e-6
"""Scores are sums of floats; a smaller difference is none."""


class LogMetric(Protocol):
    """What TRL hands reward functions to log with; averaged over processes and steps."""

    def __call__(self, name: str, value: float) -> None: ...


def make_dapo_trainer(
    recipe: OnPolicyRecipe,
    loaded: LoadedModel,
    starts: Sequence[Start],
    out: Path,
    *,
    chair: Chair,
) -> GRPOTrainer:
    """Return the trainer; every start must have a logged next submission.

    chair: with the recipe's horizon and format in its rules. Raises UsageError for an assignment
    whose prompt does not fit, for batches that do not hold whole groups, for fewer starts than
    one step takes, and for a sharded model.
    """
    if recipe.group < 2 or recipe.batch_size * recipe.accumulation % recipe.group:
        raise UsageError(
            f"batch_size {recipe.batch_size} x accumulation {recipe.accumulation} must be whole "
            f"groups of at least 2 completions, got group {recipe.group}"
        )
    rollouts = PrefixRollouts(recipe, loaded.dialogs, starts, chair)
    config: Any = make_config(
        GRPOConfig,
        recipe,
        out,
        len(starts) * recipe.group,
        validate=False,
        num_generations=recipe.group,
        max_completion_length=recipe.completion,
        temperature=recipe.temperature,
        top_p=recipe.top_p,
        loss_type="dapo",
        epsilon=recipe.clip_low,
        epsilon_high=recipe.clip_high,
        beta=0.0,
        scale_rewards="none",
        mask_truncated_completions=True,
        disable_dropout=True,
        # TRL's own order would begin anew in a run that is resumed after its first epoch.
        shuffle_dataset=False,
    )
    groups = config.generation_batch_size // recipe.group
    if len(starts) < groups:
        raise UsageError(
            f"a step takes {groups} prefixes and there are {len(starts)}; lower batch_size or "
            "accumulation, or raise positions"
        )
    order = np.random.default_rng([recipe.seed, *b"order"]).permutation(len(starts))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
        trainer = GRPOTrainer(
            model=loaded.model,
            reward_funcs=rollouts.earned,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": [str(number) for number in order]}),
            processing_class=loaded.dialogs.tokenizer,
            rollout_func=rollouts,
        )
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise UsageError(
            "dapo needs the whole model in each process: launch it without FSDP and DeepSpeed"
        )
    # What ends with none of these counts as cut off, and base models end texts, not turns.
    if loaded.dialogs.end_id not in trainer.eos_token_ids:
        trainer.eos_token_ids.append(loaded.dialogs.end_id)
    return trainer


@dataclass(slots=True, eq=False)
class Rollout:
    """What the policy did from one prefix."""

    episode: Episode
    prompt: list[int]
    completion: list[int] = field(default_factory=list)
    """Ids of the policy's turns, and between two of them those of what answers it."""
    own: list[int] = field(default_factory=list)
    """1 for the ids of `completion` that are the policy's, 0 for the others."""
    reward: float = 0.0
    """What the environment paid, summed over the steps."""
    penalty: float = 0.0
    """For length: at most 0, summed over the steps."""
    finished: bool = True
    """Whether the last turn ended before the limit; else nothing is learnt from it."""

    @property
    def score(self) -> float:
        return self.reward + self.penalty


def teaches(group: Sequence[Rollout]) -> bool:
    """Return whether any of the group's rollouts moves the policy.

    A rollout does by how it differs from the group's mean, unless it was cut off.
    """
    mean = fmean(rollout.score for rollout in group)
    return any(one.finished and abs(one.score - mean) > _ROUNDING for one in group)


def _scores(group: Sequence[Rollout]) -> list[float]:
    """Return the group's scores for TRL; equal ones so that their advantages are exactly 0.

    TRL takes means in single precision: eight times 0.3 has one a little off 0.3, and Adam makes
    a step of any gradient, however small. Numbers of 12 bits have exact sums.
    """
    scores = [rollout.score for rollout in group]
    if max(scores) - min(scores) > _ROUNDING:
        return scores
    mantissa, exponent = math.frexp(scores[0])
    return [math.ldexp(round(mantissa * 4096), exponent - 12)] * len(scores)


def reserved(recipe: OnPolicyRecipe) -> int:
    """Return the tokens kept free behind a prompt.

    There is room for a whole answer, and beyond the first for as many as half of the context holds.
    """
    return min(recipe.horizon * recipe.completion, max(recipe.completion, recipe.context // 2))


def with_room(
    starts: Sequence[Start], recipe: OnPolicyRecipe, dialogs: DialogTokenizer, chair: Chair
) -> list[Start]:
    """Return the starts whose prompt fits the context; UsageError where there is none."""
    asked = [chair.dialog(episode) for episode in chair.begin(starts)]
    room = reserved(recipe)
    kept = [
        start
        for start, dialog in zip(starts, asked, strict=True)
        if fit_window(dialog, recipe.context, dialogs, reserve=room, generation_prompt=True)
        is not None
    ]
    if not kept:
        raise UsageError(
            f"none of the {len(starts)} states fits a context of {recipe.context} tokens, "
            f"{room} of them for the answer; raise the context (--set context=TOKENS)"
        )
    return kept


def overlong_penalty(tokens: int, limit: int, share: float) -> float:
    """Return DAPO's soft punishment: 0, then falling to -1 over the last `share` of the limit."""
    into = 1 + (tokens - limit) / (limit * share) if share > 0 else 0.0
    return -min(max(into, 0.0), 1.0)


class PrefixRollouts:
    """TRL's `rollout_func`, and with `earned` the reward function that goes with it."""

    def __init__(
        self,
        recipe: OnPolicyRecipe,
        dialogs: DialogTokenizer,
        starts: Sequence[Start],
        chair: Chair,
    ) -> None:
        self.recipe, self.dialogs, self.starts, self.chair = recipe, dialogs, starts, chair
        self.reserve = reserved(recipe)
        self._metrics: dict[str, float] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        for assignment in {start.assignment.id: start.assignment for start in starts}.values():
            # Now, and not in the middle of a run.
            self._window(chair.opening(assignment), assignment.id)

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """Return TRL's columns for `prompts`, the numbers of starts, each once per completion.

        Groups keep their places; the prompts of one that was replaced are another prefix's.
        """
        numbers = [int(prompt) for prompt in prompts[:: self.recipe.group]]
        step, process = trainer.state.global_step, trainer.accelerator.process_index
        rng = np.random.default_rng([self.recipe.seed, *b"rollouts", step, process])
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        groups = self.roll(numbers, model, rng)
        rollouts = [one for group in groups for one in group]
        return {
            "prompt_ids": [rollout.prompt for rollout in rollouts],
            "completion_ids": [rollout.completion for rollout in rollouts],
            # Only samples of another engine than the trainer's need a correction.
            "logprobs": None,
            "env_mask": [rollout.own for rollout in rollouts],
            "score": [score for group in groups for score in _scores(group)],
        }

    def earned(self, *, score: list[float], log_metric: LogMetric, **_: Any) -> list[float | None]:
        """Return the scores of the last batch; log what was seen in making it."""
        for name, value in self._metrics.items():
            log_metric(f"rollout/{name}", value)
        return [*score]

    def roll(
        self, numbers: Sequence[int], model: Any, rng: np.random.Generator
    ) -> list[list[Rollout]]:
        """Return a group of rollouts for each numbered start, or for one that replaces it.

        A group that teaches nothing gives way to the first that does, of starts drawn from those
        not yet seen in this batch, one a round; after `resamples` rounds it stays.
        """
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 63)))
        self._seconds.clear()
        self.chair.open_batch(int(rng.spawn(1)[0].integers(1 << 31)))
        groups = self._play(numbers, model, generator)
        # Of the prefixes as they were drawn: resampling leaves out the easy and the hopeless.
        self._metrics = _seen(groups) | self.chair.seen()
        others = (n for n in rng.permutation(len(self.starts)).tolist() if n not in numbers)
        replaced = 0
        for _ in range(self.recipe.resamples):
            dull = [place for place, group in enumerate(groups) if not teaches(group)]
            fresh = [number for _, number in zip(dull, others, strict=False)]
            for place, group in zip(dull, self._play(fresh, model, generator), strict=False):
                if teaches(group):
                    groups[place] = group
                    replaced += 1
        self._metrics |= {
            "resampled": replaced / len(groups),
            "generation_seconds": self._seconds["generation"],
            "grading_seconds": self._seconds["grading"],
        }
        return groups

    def _play(
        self, numbers: Sequence[int], model: Any, generator: torch.Generator
    ) -> list[list[Rollout]]:
        """Return a group of rollouts for each numbered start."""
        with self._timed("grading"):
            episodes = self.chair.begin([self.starts[n] for n in numbers])
        groups = []
        for episode in episodes:
            prompt = self._window(self.chair.dialog(episode), episode.start.assignment.id)
            groups.append([Rollout(episode.copy(), prompt) for _ in range(self.recipe.group)])
        running = [rollout for group in groups for rollout in group]
        while running:
            self._step(running, model, generator)
            running = [
                rollout
                for rollout in running
                if rollout.finished and not rollout.episode.stop and self._hear(rollout)
            ]
        return groups

    def _step(self, rollouts: Sequence[Rollout], model: Any, generator: torch.Generator) -> None:
        """Let the policy answer once in each, in place."""
        recipe = self.recipe
        with self._timed("generation"):
            generated = generate(
                model,
                [rollout.prompt + rollout.completion for rollout in rollouts],
                end_id=self.dialogs.end_id,
                pad_id=self.dialogs.tokenizer.pad_token_id,
                most_tokens=recipe.completion,
                temperature=recipe.temperature,
                top_p=recipe.top_p,
                generator=generator,
            )
        turns = [list(one.ids) for one in generated]
        with self._timed("grading"):
            rewards = self.chair.play(
                [rollout.episode for rollout in rollouts],
                [self.dialogs.text(turn) for turn in turns],
                [len(turn) for turn in turns],
            )
        for rollout, turn, value in zip(rollouts, turns, rewards, strict=True):
            rollout.completion += turn
            rollout.own += [1] * len(turn)
            rollout.reward += value
            rollout.penalty += overlong_penalty(len(turn), recipe.completion, recipe.overlong)
            rollout.finished = turn[-1] == self.dialogs.end_id

    def _hear(self, rollout: Rollout) -> bool:
        """Append what comes before the policy's next turn; False when no room is left for one."""
        dialog = self.chair.dialog(rollout.episode)
        said, answer = self.dialogs.encode(dialog)[-2:]
        asking = self.dialogs.prompt(dialog)[-self.dialogs.generation_prompt :]
        heard = [*said.ids[said.turn[1] :], *answer.ids, *asking]
        length = len(rollout.prompt) + len(rollout.completion) + len(heard)
        if length + self.recipe.completion > self.recipe.context:
            return False
        rollout.completion += heard
        rollout.own += [0] * len(heard)
        return True

    def _window(self, dialog: Dialog, assignment_id: str) -> list[int]:
        window = fit_prompt(
            dialog, self.recipe.context, self.dialogs, assignment_id, reserve=self.reserve
        )
        return self.dialogs.prompt(window.dialog)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = perf_counter()
        yield
        self._seconds[what] += perf_counter() - began


def _seen(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    """Return what to log of groups."""
    rollouts = [rollout for group in groups for rollout in group]
    return {
        "reward": fmean(rollout.reward for rollout in rollouts),
        "overlong_penalty": fmean(rollout.penalty for rollout in rollouts),
        "group_variance": fmean(pvariance(one.score for one in group) for group in groups),
        "dull_groups": fmean(not teaches(group) for group in groups),
        "submissions": fmean(rollout.episode.step for rollout in rollouts),
    }
