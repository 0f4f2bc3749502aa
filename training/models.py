"""Models to train and to ask: one loader for all ways to hold a model's weights.

    full    every weight is trained
    lora    adapters beside all linear projections are trained (paper: rank 8, alpha 16)
    qlora   the same, beside weights held in 4 bits (bitsandbytes NF4, double quantization)

A directory that holds an adapter loads its base, too, and the adapter is continued: it keeps its
own rank. Covered: whatever `agents/model_files.py` finds; CPU, MPS, CUDA; unsloth's kernels on
CUDA; wrong input told in one line. Not covered: several devices for one model (FSDP shards later,
see accelerate), gradient checkpointing (the trainer's setting).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from novicegym.agents.model_files import (
    find_model,
    loading,
    longest_context,
    missing_extra,
    put_adapter,
    shortly,
    without_the_warning_of_peft,
)
from novicegym.errors import UsageError, unknown_name
from novicegym.training.recipes import Adapter, Backend

if TYPE_CHECKING:
    from novicegym.dialogs.tokens import DialogTokenizer

ADAPTERS: tuple[Adapter, ...] = get_args(Adapter)
BACKENDS: tuple[Backend, ...] = get_args(Backend)
DEVICES = ("auto", "cpu", "cuda", "mps")

_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


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
    """Load a model from a directory, a run or the hub, with the adapter to train.

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
        import_unsloth(device)
    try:
        import peft  # noqa: F401
        import torch  # noqa: F401
        from transformers import AutoConfig, AutoTokenizer

        from novicegym.dialogs.tokens import DialogTokenizer
    except ImportError as error:
        raise missing_extra(error) from None
    place = _device(device)
    files = find_model(model)
    if files.adapter is not None and adapter == "full" and trainable:
        raise UsageError(f"{model} holds an adapter: train it with adapter lora or qlora, not full")
    with loading(files.base):
        config = AutoConfig.from_pretrained(files.base)
    _require_context(config, context, files.base)
    with loading(files.tokenizer):
        tokenizer = AutoTokenizer.from_pretrained(files.tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    dialogs = DialogTokenizer(tokenizer)
    _require_vocabulary(config, tokenizer, files.base)
    if adapter == "qlora":
        _require_four_bits(place)
    if backend == "unsloth":
        loaded = _load_unsloth(
            files.named, adapter, lora_rank, lora_alpha, lora_dropout, context, trainable
        )
    else:
        loaded = _load(files.base, adapter, trainable, place)
        if files.adapter is not None:
            loaded = put_adapter(loaded, files.adapter, trainable=trainable)
        elif trainable and adapter != "full":
            loaded = _add_adapter(loaded, lora_rank, lora_alpha, lora_dropout)
    if not trainable:
        loaded.requires_grad_(False)
        loaded.eval()
    return LoadedModel(loaded, dialogs)


@contextmanager
def precision_kept(model: Any) -> Iterator[None]:
    """Give the weights that are trained the values and the precision back that they came with.

    TRL's trainers cast adapters beside 4-bit weights to bfloat16 when they are made. The steps of a
    preference stage are too small for that: at a rate of 1e-5 most weights would never move.
    """
    kept = {}
    if getattr(model, "is_loaded_in_4bit", False):
        trained = ((name, one) for name, one in model.named_parameters() if one.requires_grad)
        kept = {name: weight.detach().clone() for name, weight in trained}
    yield
    for name, weight in model.named_parameters():
        if name in kept:
            weight.data = kept[name]


def _load(base: str, adapter: str, trainable: bool, device: str) -> Any:
    """Load the weights, in 4 bits where asked."""
    import torch
    from transformers import AutoModelForCausalLM

    low = torch.bfloat16 if device.startswith("cuda") else torch.float32
    loaded: Any
    if adapter == "qlora":
        with loading(base):
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
    with loading(base):
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
    with without_the_warning_of_peft():
        return get_peft_model(loaded, lora)


def _load_unsloth(
    model: str, adapter: str, rank: int, alpha: int, dropout: float, context: int, trainable: bool
) -> Any:
    """Load with unsloth, which finds the base of an adapter itself and continues the adapter."""
    from unsloth import FastLanguageModel

    with loading(model):
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


def import_unsloth(device: str = "auto") -> None:
    """Import unsloth, before the libraries it patches; UsageError where it cannot be."""
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


def _require_context(config: Any, context: int, model: str) -> None:
    longest = longest_context(config)
    if context > longest:
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
            f"adapter qlora does not work on {device} here ({shortly(error)}); use adapter lora"
        ) from None
