"""A language model in the student's seat, run by vLLM on a CUDA machine.

The same windows and the same words as `LanguageModelAgent`, with vLLM's own batching and its
cache of prefixes, which also lasts from one step of a rollout to the next. vLLM is installed
apart (pip install vllm): it brings a torch of its own. Written for the calls of vLLM 0.10 and
later that `tests/agents/test_vllm.py` writes down; that test does not run vLLM.

Sampled answers are seeded as there. Not covered: equal answers whatever the batch, which vLLM
promises only where it is told to (its setting VLLM_BATCH_INVARIANT).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from novicegym.agents.base import Asked
from novicegym.agents.language_model import (
    COMPLETION,
    CONTEXT,
    check_context,
    default_room,
    prompt_ids,
    sampling_seed,
)
from novicegym.agents.model_files import (
    ADAPTER_FILE,
    find_model,
    loading,
    missing_extra,
)
from novicegym.dialogs.serialize import Dialog
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.dialogs.tokens import DialogTokenizer

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The adapter sizes that vLLM makes room for."""


class VllmAgent:
    """Submits what a language model says that vLLM runs."""

    listens = True

    def __init__(
        self,
        engine: Any,
        dialogs: DialogTokenizer,
        *,
        name: str,
        context: int = CONTEXT,
        completion: int = COMPLETION,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        adapter: Any = None,
    ) -> None:
        """Seat an engine (vllm.LLM); adapter: a LoRARequest. The rest as `LanguageModelAgent`."""
        check_context(context, completion)
        self.name = name
        self._engine, self._dialogs, self._adapter = engine, dialogs, adapter
        self._context, self._completion = context, completion
        self._temperature, self._top_p, self._seed = temperature, top_p, seed

    @classmethod
    def load(
        cls,
        model: str,
        *,
        name: str | None = None,
        context: int | None = None,
        completion: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Self:
        """Load a model as `LanguageModelAgent.load` does, with its defaults."""
        try:
            from vllm import LLM
            from vllm.lora.request import LoRARequest
        except ImportError:
            raise UsageError(
                "vllm:MODEL needs vLLM and a CUDA device: pip install vllm; "
                "hf:MODEL runs the same model without"
            ) from None
        try:
            from transformers import AutoConfig, AutoTokenizer

            from novicegym.dialogs.tokens import DialogTokenizer
        except ImportError as error:
            raise missing_extra(error) from None
        files = find_model(model)
        with loading(model):
            config = AutoConfig.from_pretrained(files.base)
            context, completion = default_room(files, config, context, completion)
            dialogs = DialogTokenizer(AutoTokenizer.from_pretrained(files.tokenizer))
            adapter, room = None, {}
            if files.adapter is not None:
                adapter = LoRARequest(files.name, 1, files.adapter)
                room = {"enable_lora": True, "max_lora_rank": _room_for(files.adapter)}
            engine = LLM(
                model=files.base,
                tokenizer=files.tokenizer,
                dtype="bfloat16",
                max_model_len=context,
                enable_prefix_caching=True,
                seed=seed,
                **room,
            )
        return cls(
            engine,
            dialogs,
            name=name or files.name,
            context=context,
            completion=completion,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            adapter=adapter,
        )

    def with_seed(self, seed: int) -> Self:
        """Return an agent of the same engine that samples by another seed."""
        other = copy(self)
        other._seed = seed
        return other

    @property
    def takes_empty_turns(self) -> bool:
        """Whether a dialog may hold an assistant message that says nothing."""
        return self._dialogs.takes_empty_turns

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the model's answers. Raises UsageError for a prompt that does not fit."""
        outputs = self._engine.generate(
            [self._prompt(dialog, info) for dialog, info in zip(dialogs, infos, strict=True)],
            sampling_params=[self._sampling(info) for info in infos],
            use_tqdm=False,
            lora_request=self._adapter,
        )
        return [self._dialogs.text(output.outputs[0].token_ids) for output in outputs]

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        """Answer dialogs as they come (`StreamingAgent`); vLLM refills its batch at each step."""
        engine = self._engine.llm_engine
        unanswered: set[str] = set()
        try:
            while True:
                is_idle = not unanswered
                asked = take(is_idle)
                if is_idle and not asked:
                    return
                for ticket, dialog, info in asked:
                    engine.add_request(
                        str(ticket),
                        self._prompt(dialog, info),
                        self._sampling(info),
                        lora_request=self._adapter,
                    )
                    unanswered.add(str(ticket))
                ended = [output for output in engine.step() if output.finished]
                unanswered -= {one.request_id for one in ended}
                if ended:
                    yield [
                        (int(one.request_id), self._dialogs.text(one.outputs[0].token_ids))
                        for one in ended
                    ]
        finally:
            # Else the engine would answer them to whoever asks next.
            engine.abort_request(sorted(unanswered))

    def _prompt(self, dialog: Dialog, info: Mapping[str, Any]) -> dict[str, list[int]]:
        ids = prompt_ids(self._dialogs, dialog, info, self._context, self._completion)
        return {"prompt_token_ids": ids}

    def _sampling(self, info: Mapping[str, Any]) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=self._temperature,
            top_p=self._top_p,
            seed=sampling_seed(self._seed, info),
            max_tokens=self._completion,
            stop_token_ids=[self._dialogs.end_id],
            detokenize=False,
        )


def _room_for(adapter: str) -> int:
    rank = json.loads((Path(adapter) / ADAPTER_FILE).read_bytes())["r"]
    fitting = [room for room in _RANKS if room >= rank]
    if not fitting:
        raise UsageError(f"vLLM takes adapters of rank {_RANKS[-1]} at most, {adapter} has {rank}")
    return fitting[0]
