"""A language model in the student's seat.

It reads the dialog and nothing else: the longest window of it that leaves room for an answer in
the context (`dialogs/windows.py`). What it answers is the completion as it stands.

Covered: whatever `agents/model_files.py` finds; CPU, MPS, CUDA; greedy and sampled; a batch that
does not fit in memory is halved. Not covered: models in 4 bits, which are trained so but are asked
in bfloat16; one model on several devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Self
from zlib import crc32

import numpy as np

from novicegym.agents.base import Asked, act_by_streaming
from novicegym.agents.model_files import (
    ModelFiles,
    find_model,
    loading,
    longest_context,
    missing_extra,
    put_adapter,
    trained_context,
)
from novicegym.dialogs.serialize import Dialog, with_past
from novicegym.dialogs.windows import TokenCounter, Window, fit_prompt, fit_window
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.agents.generation import Prompt
    from novicegym.dialogs.tokens import DialogTokenizer

CONTEXT = 4096
"""Tokens of prompt and answer together, in the paper's experiments."""
COMPLETION = 1024
"""Largest number of tokens of an answer."""


class LanguageModelAgent:
    """Submits what a language model of transformers says."""

    listens = True

    def __init__(
        self,
        model: Any,
        dialogs: DialogTokenizer,
        *,
        name: str,
        context: int = CONTEXT,
        completion: int = COMPLETION,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        batch_size: int = 32,
    ) -> None:
        """Seat a model; `load` finds one by its path.

        model: a causal LM, with or without an adapter. name: what tables call the agent. context:
        tokens of prompt and answer together, of which `completion` are kept for the answer.
        temperature: 0 is greedy. seed: of sampling. batch_size: turns generated at a time.
        """
        check_context(context, completion)
        self.name = name
        self._model, self._dialogs = model, dialogs
        self._context, self._completion = context, completion
        self._temperature, self._top_p, self._seed = temperature, top_p, seed
        self._batch_size = batch_size

    @classmethod
    def load(
        cls,
        model: str,
        *,
        name: str | None = None,
        device: str | None = None,
        context: int | None = None,
        completion: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        batch_size: int = 32,
    ) -> Self:
        """Load a model, an adapter, a run's or the hub's model; None stands for a default.

        name: the directory's or the run's, or the hub's id. device: CUDA, else MPS, else CPU;
        float32 on the CPU, bfloat16 elsewhere. context: what its run trained it on, without one
        4096, or what the model can read. completion: 1024, or a quarter of the context. Raises
        UsageError for what cannot be loaded.
        """
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            from novicegym.dialogs.tokens import DialogTokenizer
        except ImportError as error:
            raise missing_extra(error) from None
        files = find_model(model)
        if device is None:
            mps = "mps" if torch.backends.mps.is_available() else "cpu"
            device = "cuda" if torch.cuda.is_available() else mps
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        with loading(model):
            dialogs = DialogTokenizer(AutoTokenizer.from_pretrained(files.tokenizer))
            loaded: Any = AutoModelForCausalLM.from_pretrained(files.base, dtype=dtype)
        context, completion = default_room(files, loaded.config, context, completion)
        if files.adapter is not None:
            loaded = put_adapter(loaded, files.adapter)
            if dtype == torch.float32:
                # One set of weights is faster. In bfloat16 a small change would be rounded away.
                loaded = loaded.merge_and_unload()
        return cls(
            loaded.to(device).eval(),
            dialogs,
            name=name or files.name,
            context=context,
            completion=completion,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            batch_size=batch_size,
        )

    def with_seed(self, seed: int) -> Self:
        """Return an agent of the same model that samples by another seed."""
        other = copy(self)
        other._seed = seed
        return other

    @property
    def takes_empty_turns(self) -> bool:
        """Whether a dialog may hold an assistant message that says nothing."""
        return self._dialogs.takes_empty_turns

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the model's answers.

        Greedy answers depend on the dialog alone (and on the episode before it, `past`), sampled
        ones on the seed and the seat, too: student, assignment, position, step and sample; neither
        on what else is in the batch. Raises
        UsageError for an assignment whose prompt does not fit the context.
        """
        return act_by_streaming(self, dialogs, infos)

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        """Answer dialogs as they come, see `StreamingAgent`; what is said is what `act` returns."""
        import torch

        from novicegym.agents.generation import generate_stream

        pad_id = self._dialogs.tokenizer.pad_token_id
        unanswered: dict[int, Asked] = {}
        again: list[Asked] = []

        def prompts(wait: bool) -> list[Prompt]:
            asked = [again.pop() for _ in range(len(again))] or take(wait)
            unanswered.update((one[0], one) for one in asked)
            return [self._prompt(*one) for one in asked]

        while True:
            try:
                for ended in generate_stream(
                    self._model,
                    prompts,
                    end_id=self._dialogs.end_id,
                    pad_id=self._dialogs.end_id if pad_id is None else pad_id,
                    most_tokens=self._completion,
                    temperature=self._temperature,
                    top_p=self._top_p,
                    batch_size=self._batch_size,
                ):
                    for ticket, _ in ended:
                        del unanswered[ticket]
                    yield [(ticket, self._dialogs.text(said.ids)) for ticket, said in ended]
                return
            except torch.OutOfMemoryError:
                if self._batch_size == 1:
                    raise UsageError(
                        f"{self.name} does not fit in memory with one dialog of {self._context} "
                        "tokens; use a smaller context, a smaller model or a larger device"
                    ) from None
            self._batch_size //= 2
            again += unanswered.values()

    def _prompt(self, ticket: int, dialog: Dialog, info: Mapping[str, Any]) -> Prompt:
        import torch

        ids = prompt_ids(self._dialogs, dialog, info, self._context, self._completion)
        return ticket, ids, torch.Generator().manual_seed(sampling_seed(self._seed, info))


def prompt_ids(
    dialogs: DialogTokenizer,
    dialog: Dialog,
    info: Mapping[str, Any],
    context: int,
    completion: int,
) -> list[int]:
    """Return the longest prompt that leaves room for the answer; errors as in `prompt_window`."""
    return dialogs.prompt(prompt_window(dialogs, dialog, info, context, completion).dialog)


def prompt_window(
    counter: TokenCounter, dialog: Dialog, info: Mapping[str, Any], context: int, completion: int
) -> Window:
    """Return the longest window that leaves room for the answer.

    An earlier episode in the info comes before the dialog, without its oldest submissions, or not
    at all, where the context is too short. Raises UsageError naming the assignment if there is no
    window.
    """
    if "past" in info:
        whole = with_past(dialog, info["past"]["dialog"])
        window = fit_window(whole, context, counter, reserve=completion, generation_prompt=True)
        if window is not None and window.start < len(whole):
            return window
    return fit_prompt(dialog, context, counter, info["assignment_id"], reserve=completion)


def sampling_seed(seed: int, info: Mapping[str, Any]) -> int:
    """Return a seed of 32 bits for what is sampled in a seat at a step."""
    words = [crc32(str(info[key]).encode()) for key in ("student_id", "assignment_id")]
    place = [seed, *words, int(info["position"]), int(info["step"])]
    if "sample" in info:
        place.append(int(info["sample"]))
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def default_room(
    files: ModelFiles, config: Any, context: int | None, completion: int | None
) -> tuple[int, int]:
    """Return (context, completion) with the defaults of `LanguageModelAgent.load` for None."""
    context = context or min(trained_context(files) or CONTEXT, longest_context(config))
    return context, completion or min(COMPLETION, context // 4)


def check_context(context: int, completion: int) -> None:
    """Raise UsageError where an answer leaves no room for a prompt."""
    if not 1 <= completion < context:
        raise UsageError(
            f"completion must be at least 1 token and less than the context of {context}, "
            f"got {completion}"
        )
