"""Models to train and to ask: one loader for all ways to hold a model's weights.

    full    every weight is trained
    lora    adapters beside all linear projections are trained (paper: rank 8, alpha 16)
    qlora   the same, beside weights held in 4 bits (bitsandbytes NF4, double quantization)

A directory that holds an adapter loads its base, too, and the adapter is continued: it keeps its
own rank. Covered: model directories and ids of the Hugging Face hub; CPU, MPS, CUDA; unsloth's
kernels on CUDA; wrong input told in one line. Not covered: adapters on the hub, several devices
for one model (FSDP shards later, see accelerate), gradient checkpointing (the trainer's setting).
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from novicegym.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from novicegym.dialogs.tokens import DialogTokenizer

Adapter: TypeAlias = Literal["full", "lora", "qlora"]
Backend: TypeAlias = Literal["transformers", "unsloth"]

ADAPTERS: tuple[Adapter, ...] = get_args(Adapter)
BACKENDS: tuple[Backend, ...] = get_args(Backend)
DEVICES = ("auto", "cpu", "cuda", "mps")

_ADAPTER_FILE = "adapter_config.json"
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_SHOWN_CHARS = 250
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model and what turns dialogs into its tokens."""

    model: Any
    """A PreTrainedModel, or a PeftModel around one."""
    dialogs: DialogTokenizer


def load_model(
    model: str,
    *,
    adapter: str = "full",
    backend: str = "transformers",
    lora_rank: int = 8,
    lora_alpha: int = 16,
    lora_dropout: float = 0.1,
    context: int = 4096,
    trainable: bool = True,
    device: str = "auto",
) -> LoadedModel:
    """Load a model from a directory or the hub, with the adapter to train.

    adapter: with `trainable` False no new one is added; "qlora" then only holds the weights in 4
    bits. context: tokens that the model must be able to read. New adapters start from torch's
    global random state. Raises UsageError for whatever cannot be had as asked.
    """
    for kind, name, known in (
        ("adapter", adapter, ADAPTERS),
        ("backend", backend, BACKENDS),
        ("device", device, DEVICES),
    ):
        if name not in known:
            raise unknown_name(kind, name, known)
    if backend == "unsloth":
        _import_unsloth(device)  # it patches the other libraries, so it comes first
    try:
        import peft  # noqa: F401
        import torch  # noqa: F401
        from transformers import AutoConfig, AutoTokenizer

        from novicegym.dialogs.tokens import DialogTokenizer
    except ImportError as error:
        raise UsageError(
            f"language models need {error.name}: pip install 'novicegym[train]'"
        ) from None
    place = _device(device)
    base, continued = _parts(model)
    if continued is not None and adapter == "full" and trainable:
        raise UsageError(f"{model} holds an adapter: train it with adapter lora or qlora, not full")
    with _told(base):
        config = AutoConfig.from_pretrained(base)
    _require_context(config, context, base)
    # An adapter is saved with the tokenizer it was trained with, and its template.
    words = model if continued and (continued / "tokenizer_config.json").exists() else base
    with _told(words):
        tokenizer = AutoTokenizer.from_pretrained(words)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    dialogs = DialogTokenizer(tokenizer)
    _require_vocabulary(config, tokenizer, base)
    if adapter == "qlora":
        _require_four_bits(place)
    if backend == "unsloth":
        loaded = _load_unsloth(
            model, adapter, lora_rank, lora_alpha, lora_dropout, context, trainable
        )
    else:
        loaded = _load(base, adapter, trainable, place)
        if continued is not None:
            loaded = _continue(loaded, continued, trainable)
        elif trainable and adapter != "full":
            loaded = _add_adapter(loaded, lora_rank, lora_alpha, lora_dropout)
    if not trainable:
        loaded.requires_grad_(False)
        loaded.eval()
    return LoadedModel(loaded, dialogs)


def _load(base: str, adapter: str, trainable: bool, device: str) -> Any:
    """Load the weights, in 4 bits where asked."""
    import torch
    from transformers import AutoModelForCausalLM

    low = torch.bfloat16 if device.startswith("cuda") else torch.float32
    loaded: Any
    if adapter == "qlora":
        with _told(base):
            loaded = AutoModelForCausalLM.from_pretrained(
                base,
                dtype=low,
                quantization_config={
                    "quant_method": "bitsandbytes",
                    "load_in_4bit": True,
                    "bnb_4bit_quant_type": "nf4",
                    "bnb_4bit_use_double_quant": True,
                    "bnb_4bit_compute_dtype": low,
                },
                device_map={"": device},
            )
        for module in loaded.modules():
            if hasattr(module, "support_avx512bf16_for_cpu"):
                # bitsandbytes 0.50 would repack weights for good when first asked in evaluation;
                # training that goes on gets no gradients through them, and no error.
                module.support_avx512bf16_for_cpu = False
        return _ready_for_adapters(loaded) if trainable else loaded
    # Steps of training are smaller than bfloat16 can add to a weight, so weights that are trained
    # are float32, as TRL has them; its trainers compute in bfloat16 all the same.
    dtype = torch.float32 if trainable and adapter == "full" else low
    with _told(base):
        loaded = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true"):
        return loaded  # the trainer shards it; it need not fit one device
    return loaded.to(device)


def _ready_for_adapters(loaded: Any) -> Any:
    """Freeze 4-bit weights and hold what is not in 4 bits in float32."""
    import peft

    prepare: Any = peft.prepare_model_for_kbit_training
    return prepare(loaded, use_gradient_checkpointing=False)


def _add_adapter(loaded: Any, rank: int, alpha: int, dropout: float) -> Any:
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        target_modules="all-linear",
    )
    with _without_the_warning_of_peft():
        return get_peft_model(loaded, lora)


def _continue(loaded: Any, folder: Path, trainable: bool) -> Any:
    from peft import PeftModel

    with _told(str(folder)), _without_the_warning_of_peft():
        return PeftModel.from_pretrained(loaded, str(folder), is_trainable=trainable)


def _load_unsloth(
    model: str, adapter: str, rank: int, alpha: int, dropout: float, context: int, trainable: bool
) -> Any:
    """Load with unsloth, which finds the base of an adapter itself and continues the adapter."""
    from unsloth import FastLanguageModel

    with _told(model):
        loaded, _ = FastLanguageModel.from_pretrained(
            model_name=model,
            max_seq_length=context,
            dtype=None,
            load_in_4bit=adapter == "qlora",
            full_finetuning=trainable and adapter == "full",
            use_exact_model_name=True,  # not unsloth's own upload of these weights
        )
    if not trainable:
        FastLanguageModel.for_inference(loaded)
        return loaded
    if adapter == "full" or hasattr(loaded, "peft_config"):
        return loaded
    return FastLanguageModel.get_peft_model(
        loaded,
        r=rank,
        target_modules=list(_PROJECTIONS),
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        use_gradient_checkpointing="unsloth",
    )


def _import_unsloth(device: str) -> None:
    try:
        import torch

        if device not in ("auto", "cuda") or not torch.cuda.is_available():
            raise UsageError(
                "backend unsloth needs a CUDA GPU, and there is none here; use backend transformers"
            )
        import unsloth  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"backend unsloth needs {error.name}: pip install 'novicegym[train]' unsloth"
        ) from None


def _device(wanted: str) -> str:
    """Return the device to load to; under `accelerate launch` every process has its own GPU."""
    import torch

    has = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name in has if has[name])
    if not has[wanted]:
        raise UsageError(f"torch finds no {wanted} device here; use device auto or cpu")
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if wanted == "cuda" else wanted


def _parts(model: str) -> tuple[str, Path | None]:
    """Return the model whose weights to load, and the adapter directory if `model` is one."""
    folder = Path(model)
    if not folder.is_dir():
        if folder.exists():
            raise UsageError(f"{model} is a file; a model is a directory")
        if not _may_be_on_the_hub(model):
            raise UsageError(
                f"there is no model directory {model}, and the hub's models are named OWNER/NAME"
            )
        return model, None
    if not (folder / _ADAPTER_FILE).exists():
        if not (folder / "config.json").exists():
            raise UsageError(f"{model} holds no model: neither config.json nor {_ADAPTER_FILE}")
        # An adapter will name its base by this path, from wherever it is continued.
        return str(folder.absolute()), None
    try:
        base = json.loads((folder / _ADAPTER_FILE).read_bytes())["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError):
        base = None
    if not isinstance(base, str):
        raise UsageError(f"{folder / _ADAPTER_FILE} does not name the adapter's base model")
    if not Path(base).is_dir() and not _may_be_on_the_hub(base):
        raise UsageError(
            f"the adapter in {model} was trained on {base}, which is not there; "
            f"correct base_model_name_or_path in its {_ADAPTER_FILE}"
        )
    return base, folder


def _may_be_on_the_hub(model: str) -> bool:
    """Whether to ask the hub, which takes long where there is no network: not for runs/typo."""
    return _HUB_ID.fullmatch(model) is not None and not Path(model).parent.is_dir()


def _require_context(config: Any, context: int, model: str) -> None:
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and context > longest:
        raise UsageError(
            f"{model} reads at most {longest} tokens, and the context is {context}; "
            f"set the context to {longest} or less"
        )


def _require_vocabulary(config: Any, tokenizer: Any, model: str) -> None:
    """Refuse tokens that the model has no row for; spare rows are usual."""
    rows = config.get_text_config().vocab_size
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise UsageError(
            f"the tokenizer of {model} has tokens up to {highest}, and the model knows {rows}: "
            "they do not belong together"
        )


def _require_four_bits(device: str) -> None:
    """Raise UsageError unless bitsandbytes can hold weights in NF4 on the device."""
    import torch

    try:
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit

        weights = torch.ones(64, 64, device=device)
        dequantize_4bit(*quantize_4bit(weights, quant_type="nf4", compress_statistics=True))
    except ImportError as error:
        raise UsageError(
            f"adapter qlora needs {error.name}: pip install 'novicegym[train]'"
        ) from None
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # it fails in as many ways as there are machines
        raise UsageError(
            f"adapter qlora does not work on {device} here ({_shortly(error)}); use adapter lora"
        ) from None


@contextmanager
def _told(model: str) -> Iterator[None]:
    """Tell in one line why a model cannot be loaded."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if Path(model).is_dir():
            raise UsageError(f"{model} cannot be loaded: {_shortly(error)}") from None
        raise UsageError(
            f"{model} is no directory here and cannot be downloaded; "
            f"a local model directory works, too ({_shortly(error)})"
        ) from None


@contextmanager
def _without_the_warning_of_peft() -> Iterator[None]:
    """peft 0.21 reads an attribute that transformers 5.23 has renamed; users can do nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _shortly(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHOWN_CHARS] or type(error).__name__
