"""A language model in the student's seat.

It reads the dialog and nothing else: the longest window of it that leaves room for an answer in
the context (`dialogs/windows.py`). What it answers is the completion as it stands.

Covered: model directories, directories that hold a peft adapter, ids of the Hugging Face hub;
CPU, MPS, CUDA; greedy and sampled; a batch that does not fit in memory is halved. Not covered:
models in 4 bits, which are trained so but are asked in bfloat16; one model on several devices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from zlib import crc32

import numpy as np

from novicegym.dialogs.serialize import Dialog
from novicegym.dialogs.windows import fit_prompt
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.dialogs.tokens import DialogTokenizer

CONTEXT = 4096
"""Tokens of prompt and answer together, in the paper's experiments."""
COMPLETION = 1024
"""Largest number of tokens of an answer."""
_ADAPTER_FILE = "adapter_config.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_SHOWN_CHARS = 250


class LanguageModelAgent:
    """Submits what a language model of transformers says."""

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
        """Load a model, an adapter or a model of the hub; None stands for a default.

        name: the directory's, or the hub's id. device: CUDA, else MPS, else CPU; float32 on the
        CPU, bfloat16 elsewhere. context: 4096 or what the model can read. completion: 1024, or a
        quarter of what the model can read. Raises UsageError for what cannot be loaded.
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
        longest = longest_context(loaded.config)
        if files.adapter is not None:
            loaded = _with_adapter(loaded, files.adapter)
        return cls(
            loaded.to(device).eval(),
            dialogs,
            name=name or files.name,
            context=context or min(CONTEXT, longest),
            completion=completion or min(COMPLETION, longest // 4),
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            batch_size=batch_size,
        )

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the model's answers.

        Greedy answers depend on the dialog alone, sampled ones on the seed and the seat, too:
        student, assignment, position and step; neither on what else is in the batch. Raises
        UsageError for an assignment whose prompt does not fit the context.
        """
        import torch

        from novicegym.agents.generation import generate

        prompts = [
            prompt_ids(self._dialogs, dialog, info, self._context, self._completion)
            for dialog, info in zip(dialogs, infos, strict=True)
        ]
        pad_id = self._dialogs.tokenizer.pad_token_id
        while True:
            generators = [
                torch.Generator().manual_seed(sampling_seed(self._seed, info)) for info in infos
            ]
            try:
                turns = generate(
                    self._model,
                    prompts,
                    end_id=self._dialogs.end_id,
                    pad_id=self._dialogs.end_id if pad_id is None else pad_id,
                    most_tokens=self._completion,
                    temperature=self._temperature,
                    top_p=self._top_p,
                    generator=generators,
                    batch_size=self._batch_size,
                )
                return [self._dialogs.text(turn.ids) for turn in turns]
            except torch.OutOfMemoryError:
                if self._batch_size == 1:
                    raise UsageError(
                        f"{self.name} does not fit in memory with one dialog of {self._context} "
                        "tokens; use a smaller context, a smaller model or a larger device"
                    ) from None
            self._batch_size //= 2


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where the parts of a model are: directories, or ids of the hub."""

    name: str
    base: str
    """The weights."""
    adapter: str | None
    """What is to be put beside them."""
    tokenizer: str


def find_model(model: str) -> ModelFiles:
    """Return the parts of a model named by a directory or an id of the hub.

    Raises UsageError for what is neither, and for an adapter whose base is not there.
    """
    folder = Path(model)
    if not folder.is_dir():
        if not _may_be_on_the_hub(model):
            raise UsageError(
                f"there is no model directory {model!r}, and the hub's models are named OWNER/NAME"
            )
        return ModelFiles(model, model, None, model)
    name = folder.resolve().name
    if not (folder / _ADAPTER_FILE).exists():
        if not (folder / "config.json").exists():
            raise UsageError(f"{model} holds no model: neither config.json nor {_ADAPTER_FILE}")
        return ModelFiles(name, model, None, model)
    try:
        base = json.loads((folder / _ADAPTER_FILE).read_bytes())["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError):
        base = None
    if not isinstance(base, str) or not (Path(base).is_dir() or _may_be_on_the_hub(base)):
        raise UsageError(
            f"the adapter in {model} was trained on {base!r}, which is not there; correct "
            f"base_model_name_or_path in its {_ADAPTER_FILE}"
        )
    # An adapter is saved with the tokenizer it was trained with, and its template.
    own = (folder / "tokenizer_config.json").exists()
    return ModelFiles(name, base, model, model if own else base)


def prompt_ids(
    dialogs: DialogTokenizer,
    dialog: Dialog,
    info: Mapping[str, Any],
    context: int,
    completion: int,
) -> list[int]:
    """Return the longest prompt that leaves room for the answer.

    Raises UsageError naming the assignment if there is none.
    """
    window = fit_prompt(dialog, context, dialogs, info["assignment_id"], reserve=completion)
    return dialogs.prompt(window.dialog)


def sampling_seed(seed: int, info: Mapping[str, Any]) -> int:
    """Return a seed of 32 bits for what is sampled in a seat at a step."""
    words = [crc32(str(info[key]).encode()) for key in ("student_id", "assignment_id")]
    place = [seed, *words, int(info["position"]), int(info["step"])]
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def longest_context(config: Any) -> int:
    """Return the tokens a model of transformers can read; without a limit, the paper's context."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", CONTEXT))


def check_context(context: int, completion: int) -> None:
    """Raise UsageError where an answer leaves no room for a prompt."""
    if not 1 <= completion < context:
        raise UsageError(
            f"completion must be at least 1 token and less than the context of {context}, "
            f"got {completion}"
        )


def missing_extra(error: ImportError) -> UsageError:
    """Return the error of one who has not installed what language models need."""
    return UsageError(f"language models need {error.name}: pip install 'novicegym[train]'")


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Tell in one line why a model cannot be loaded."""
    from safetensors import SafetensorError

    try:
        yield
    except UsageError:
        raise
    except ImportError as error:
        raise missing_extra(error) from None
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:_SHOWN_CHARS]
        place = "" if Path(model).is_dir() else "is no directory here and "
        raise UsageError(f"{model} {place}cannot be loaded: {reason}") from None


def _with_adapter(loaded: Any, adapter: str) -> Any:
    import warnings

    import torch

    with loading(adapter), warnings.catch_warnings():
        from peft import PeftModel

        # peft 0.21 reads an attribute that transformers 5.23 has renamed; users can do nothing.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        joined: Any = PeftModel.from_pretrained(loaded, adapter)
    # One set of weights is faster. In bfloat16 a small change to a weight would be rounded away.
    return joined.merge_and_unload() if loaded.dtype == torch.float32 else joined


def _may_be_on_the_hub(model: str) -> bool:
    """Whether to ask the hub, which takes long where there is no network: not for runs/typo."""
    return _HUB_ID.fullmatch(model) is not None and not Path(model).parent.is_dir()
