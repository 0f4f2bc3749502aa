from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import trl
from safetensors.torch import load_file
from transformers import AutoTokenizer, Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM

from novicegym.dialogs.serialize import Dialog
from novicegym.errors import UsageError
from novicegym.training.models import LoadedModel, load_model

PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
DIALOG: Dialog = [
    {"role": "system", "content": "You are a student."},
    {"role": "user", "content": "Write add(a, b)."},
    {"role": "assistant", "content": "```python\nreturn a - b\n```"},
    {"role": "user", "content": "Grade: 25/100"},
]


def ids(loaded: LoadedModel) -> torch.Tensor:
    device = next(loaded.model.parameters()).device
    return torch.tensor([loaded.dialogs.prompt(DIALOG)], device=device)


def logits(loaded: LoadedModel) -> torch.Tensor:
    loaded.model.eval()
    with torch.no_grad():
        found: torch.Tensor = loaded.model(ids(loaded)).logits
    return found


def loss(loaded: LoadedModel) -> torch.Tensor:
    found: torch.Tensor = loaded.model(ids(loaded), labels=ids(loaded)).loss
    return found


def train_steps(loaded: LoadedModel, steps: int = 3) -> None:
    weights = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(loaded).backward()
        optimizer.step()


def trained(loaded: LoadedModel) -> set[str]:
    """Names of the weights that a backward pass gives gradients."""
    loaded.model.zero_grad()
    loss(loaded).backward()
    return {name for name, w in loaded.model.named_parameters() if w.grad is not None}


def frozen(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    return {n: w.detach().clone() for n, w in loaded.model.named_parameters() if "lora_" not in n}


def copied(source: Path, target: Path, **changes: Any) -> Path:
    """A copy of a model directory with other values in its config.json."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return target


def training_run(model: Path, run: Path) -> Path:
    """A folder as a stage of training leaves it."""
    shutil.copytree(model, run / "model")
    (run / "run.json").write_text('{"kind": "training"}')
    return run


def test_full_trains_every_weight_in_float32(tiny_model_dir: Path) -> None:
    loaded = load_model(str(tiny_model_dir), device="cpu")
    assert trained(loaded) == {name for name, _ in loaded.model.named_parameters()}
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}
    before = loss(loaded).item()
    train_steps(loaded)
    assert loss(loaded).item() < before


@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_adapters_train_all_linear_projections_and_nothing_else(
    adapter: str, tiny_model_dir: Path
) -> None:
    loaded = load_model(
        str(tiny_model_dir), adapter=adapter, lora_rank=4, lora_alpha=12, device="cpu"
    )
    names = trained(loaded)
    assert names
    assert all(".lora_A." in name or ".lora_B." in name for name in names)
    adapted = {tuple(name.split(".")[i] for i in (-6, -4)) for name in names}
    assert {projection for _, projection in adapted} == PROJECTIONS
    assert len(names) == 2 * len(PROJECTIONS) * loaded.model.config.num_hidden_layers
    lora = loaded.model.peft_config["default"]
    assert (lora.r, lora.lora_alpha, lora.lora_dropout) == (4, 12, 0.1)
    held, before = frozen(loaded), loss(loaded).item()
    train_steps(loaded)
    assert loss(loaded).item() < before
    assert all(torch.equal(weight, held[name]) for name, weight in frozen(loaded).items())


def test_qlora_holds_the_projections_in_four_bits(tiny_model_dir: Path) -> None:
    loaded = load_model(str(tiny_model_dir), adapter="qlora", device="cpu")
    full = load_model(str(tiny_model_dir), device="cpu").model
    sizes = {name: weight.numel() for name, weight in full.named_parameters()}
    packed = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): weight
        for name, weight in loaded.model.named_parameters()
        if type(weight).__name__ == "Params4bit"
    }
    assert {name.split(".")[-2] for name in packed} == PROJECTIONS
    assert len(packed) == len(PROJECTIONS) * full.config.num_hidden_layers
    for name, weight in packed.items():
        assert weight.dtype == torch.uint8
        assert weight.numel() == sizes[name] / 2  # two weights a byte
        assert weight.quant_state.quant_type == "nf4"
        assert weight.quant_state.nested  # double quantization
        assert weight.quant_state.dtype == torch.float32


@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_training_goes_on_after_an_evaluation(adapter: str, tiny_model_dir: Path) -> None:
    loaded = load_model(str(tiny_model_dir), adapter=adapter, lora_dropout=0.0, device="cpu")
    train_steps(loaded, steps=1)

    def gradients() -> dict[str, torch.Tensor]:
        loaded.model.train()
        names = trained(loaded)
        return {n: w.grad.clone() for n, w in loaded.model.named_parameters() if n in names}

    before = gradients()
    assert all(gradient.abs().sum() > 0 for gradient in before.values())
    said = logits(loaded)
    assert all(torch.equal(gradient, before[name]) for name, gradient in gradients().items())
    assert torch.equal(logits(loaded), said)


@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_a_saved_adapter_is_continued(adapter: str, tiny_model_dir: Path, tmp_path: Path) -> None:
    first = load_model(str(tiny_model_dir), adapter=adapter, lora_rank=4, device="cpu")
    untrained = logits(first)
    train_steps(first)
    first.model.save_pretrained(tmp_path)
    said = logits(first)
    assert not torch.allclose(said, untrained)

    second = load_model(str(tmp_path), adapter=adapter, device="cpu")
    assert torch.allclose(logits(second), said, atol=1e-6)
    assert second.model.peft_config["default"].r == 4
    names = trained(second)
    assert names == trained(first)
    before = {n: w.detach().clone() for n, w in second.model.named_parameters() if n in names}
    train_steps(second, steps=1)
    changed = {
        n for n, w in second.model.named_parameters() if n in names and (w != before[n]).any()
    }
    assert changed == names


def test_an_adapter_is_asked_without_training_it(tiny_model_dir: Path, tmp_path: Path) -> None:
    first = load_model(str(tiny_model_dir), adapter="lora", device="cpu")
    train_steps(first)
    first.model.save_pretrained(tmp_path)
    asked = load_model(str(tmp_path), trainable=False, device="cpu")
    assert not asked.model.training
    assert not any(weight.requires_grad for weight in asked.model.parameters())
    assert torch.allclose(logits(asked), logits(first), atol=1e-6)
    assert not hasattr(
        load_model(str(tiny_model_dir), adapter="lora", trainable=False, device="cpu").model,
        "peft_config",
    )


def test_an_adapter_finds_its_base_from_any_folder(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_model_dir, tmp_path / "base")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    load_model("base", adapter="lora", device="cpu").model.save_pretrained(tmp_path / "sft")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert trained(load_model(str(tmp_path / "sft"), adapter="lora", device="cpu"))


def test_the_folder_of_a_run_stands_for_the_model_in_it(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_run(tiny_model_dir, tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    loaded = load_model("base", adapter="lora", device="cpu")
    assert torch.equal(logits(loaded), logits(load_model(str(tiny_model_dir), device="cpu")))
    base = loaded.model.peft_config["default"].base_model_name_or_path
    assert base == str(tmp_path / "base" / "model")


def test_an_adapter_speaks_with_the_tokenizer_saved_beside_it(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    first = load_model(str(tiny_model_dir), adapter="lora", device="cpu")
    first.model.save_pretrained(tmp_path)
    tokenizer = first.dialogs.tokenizer
    tokenizer.chat_template = tokenizer.chat_template.replace("message.role", "message['role']")
    tokenizer.save_pretrained(tmp_path)
    second = load_model(str(tmp_path), adapter="lora", device="cpu")
    assert second.dialogs.tokenizer.chat_template == tokenizer.chat_template


def qwen(tiny_model_dir: Path, folder: Path, template: str, *, positions: int, tied: bool) -> Path:
    """A small model directory as Qwen's are: class names, spare rows, shards, thinking template."""
    tokens = json.loads((tiny_model_dir / "tokenizer.json").read_text())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=tokens["vocab"], merges=[tuple(pair) for pair in tokens["merges"]],
        eos_token="<|im_end|>", pad_token="<|endoftext|>",
    )  # fmt: skip
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.add_tokens(["<think>", "</think>"])
    templates = Path(trl.__file__).parent / "chat_templates"
    tokenizer.chat_template = (templates / template).read_text()
    tokenizer.save_pretrained(folder)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer) + 100, hidden_size=32, intermediate_size=64,
            num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
            max_position_embeddings=positions, tie_word_embeddings=tied,
            dtype=torch.bfloat16,
        )
    ).to(torch.bfloat16)  # fmt: skip
    model.save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").exists()
    return folder


@pytest.mark.parametrize("adapter", ["full", "lora", "qlora"])
@pytest.mark.parametrize(
    ("template", "positions", "tied"),
    [("qwen3_instruct_2507.jinja", 262_144, True), ("qwen3.jinja", 40_960, False)],
)
def test_directories_laid_out_as_qwen3_are_trained(
    template: str, positions: int, tied: bool, adapter: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder = qwen(tiny_model_dir, tmp_path / "q", template, positions=positions, tied=tied)
    loaded = load_model(str(folder), adapter=adapter, device="cpu")
    assert trained(loaded)
    assert torch.isfinite(logits(loaded)).all()
    prompt = loaded.dialogs.tokenizer.decode(loaded.dialogs.prompt(DIALOG))
    assert prompt.startswith("<|im_start|>system\nYou are a student.<|im_end|>\n<|im_start|>user\n")
    assert "<|im_start|>assistant\n" in prompt
    turn = loaded.dialogs.turn("```python\nreturn a + b\n```")
    assert loaded.dialogs.tokenizer.decode(turn) == "```python\nreturn a + b\n```<|im_end|>"


def test_weights_are_those_of_the_file(tiny_model_dir: Path) -> None:
    loaded = load_model(str(tiny_model_dir), device="cpu")
    saved = load_file(tiny_model_dir / "model.safetensors")
    found = loaded.model.state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in saved.items())


def test_a_tokenizer_without_padding_pads_with_its_end(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder = copied(tiny_model_dir, tmp_path / "m")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = load_model(str(folder), device="cpu").dialogs.tokenizer
    assert tokenizer.pad_token == tokenizer.eos_token == "<|im_end|>"


def test_a_directory_that_is_not_there_is_told_without_asking_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("runs/typo", "./a/b", str(tmp_path / "x"), "model"):
        with pytest.raises(UsageError, match=f"no model directory '{name}'"):
            load_model(name)


def test_a_hub_model_that_cannot_be_downloaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        UsageError, match="cannot be loaded from the hub; a local model directory works"
    ) as e:
        load_model("Nobody/Nothing-4B")
    assert "\n" not in str(e.value)


def test_what_is_no_model_is_told(tiny_model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no model: neither config\.json nor"):
        load_model(str(tmp_path))
    with pytest.raises(UsageError, match="is a file"):
        load_model(str(tiny_model_dir / "config.json"))
    folder = copied(tiny_model_dir, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_model(str(folder), device="cpu")
    unknown = copied(tiny_model_dir, tmp_path / "unknown", model_type="qwen99")
    with pytest.raises(UsageError, match=r"cannot be loaded: .*qwen99"):
        load_model(str(unknown), device="cpu")
    for name in ("model.safetensors", "tokenizer.json"):
        partial = copied(tiny_model_dir, tmp_path / f"without {name}")
        (partial / name).unlink()
        with pytest.raises(UsageError, match="cannot be loaded"):
            load_model(str(partial), device="cpu")


def test_a_tokenizer_without_template_is_told(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model_dir, tmp_path / "m")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="has no chat template"):
        load_model(str(folder), device="cpu")


def test_a_context_beyond_the_models_positions_is_told(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder = str(copied(tiny_model_dir, tmp_path / "m", max_position_embeddings=2048))
    with pytest.raises(UsageError, match="at most 2048 tokens, and the context is 4096"):
        load_model(folder, device="cpu")
    load_model(folder, context=2048, device="cpu")


def test_a_tokenizer_of_another_model_is_told(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model_dir, tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    size = len(tokenizer)
    with pytest.raises(
        UsageError, match=f"tokens up to {size - 1}, and the model knows {size - 1}"
    ):
        load_model(str(folder), device="cpu")


def test_adapters_that_cannot_be_had_are_told(tiny_model_dir: Path, tmp_path: Path) -> None:
    load_model(str(tiny_model_dir), adapter="lora", device="cpu").model.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="train it with adapter lora or qlora, not full"):
        load_model(str(tmp_path), adapter="full", device="cpu")
    file = tmp_path / "adapter_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps(settings | {"base_model_name_or_path": "/gone/base"}))
    with pytest.raises(UsageError, match="was trained on '/gone/base', which is not there"):
        load_model(str(tmp_path), adapter="lora", device="cpu")
    file.write_text("{")
    with pytest.raises(UsageError, match="does not name the adapter's base model"):
        load_model(str(tmp_path), adapter="lora", device="cpu")


def test_an_adapter_of_another_size_is_told(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    load_model(str(tiny_model_dir), adapter="lora", device="cpu").model.save_pretrained(folder)
    other = qwen(tiny_model_dir, tmp_path / "q", "qwen3.jinja", positions=8192, tied=False)
    wide = Qwen3Config.from_pretrained(other, hidden_size=64)
    Qwen3ForCausalLM(wide).save_pretrained(other)
    (other / "model.safetensors.index.json").unlink(missing_ok=True)
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = str(other)
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(UsageError, match=r"adapter cannot be loaded: .*size mismatch"):
        load_model(str(folder), adapter="lora", device="cpu")


@pytest.mark.parametrize(
    ("option", "name"), [("adapter", "dora"), ("backend", "jax"), ("device", "tpu")]
)
def test_names_that_do_not_exist_are_told(option: str, name: str, tiny_model_dir: Path) -> None:
    with pytest.raises(UsageError, match=f"unknown {option} '{name}'"):
        load_model(str(tiny_model_dir), **{option: name})  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["torch", "transformers", "peft"])
def test_a_missing_extra_is_told(
    package: str, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"need {package}: pip install 'novicegym\[train\]'"):
        load_model(str(tiny_model_dir))


def test_a_machine_that_bitsandbytes_does_not_serve_is_told(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bitsandbytes.functional

    def broken(*_: object, **__: object) -> None:
        raise NotImplementedError("no kernel\nfor this device")

    with monkeypatch.context() as patch:
        patch.setattr(bitsandbytes.functional, "quantize_4bit", broken)
        with pytest.raises(UsageError, match=r"not work on cpu here \(no kernel for this device\)"):
            load_model(str(tiny_model_dir), adapter="qlora", device="cpu")
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    with pytest.raises(UsageError, match="needs bitsandbytes"):
        load_model(str(tiny_model_dir), adapter="qlora", device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_what_needs_one_is_told(tiny_model_dir: Path) -> None:
    with pytest.raises(UsageError, match="torch finds no cuda device here"):
        load_model(str(tiny_model_dir), device="cuda")
    with pytest.raises(UsageError, match="unsloth needs a CUDA GPU, and there is none here"):
        load_model(str(tiny_model_dir), backend="unsloth")


def test_unsloth_loads_adapts_and_continues(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """unsloth cannot be imported without a GPU, so its documented functions are stood in for.

    It shows which of them a model goes through, and that they are called by names they have.
    """
    plain, adapted = str(tiny_model_dir), str(tmp_path)
    load_model(plain, adapter="lora", device="cpu").model.save_pretrained(adapted)
    in_run = training_run(tiny_model_dir, tmp_path / "runs" / "sft")
    models = {
        plain: load_model(plain, device="cpu").model,
        adapted: load_model(adapted, adapter="lora", device="cpu").model,
        str(in_run / "model"): load_model(plain, device="cpu").model,
    }
    calls: list[str] = []

    class FastLanguageModel:
        @staticmethod
        def from_pretrained(
            model_name: str, max_seq_length: int = 2048, dtype: Any = None,
            load_in_4bit: bool = True, full_finetuning: bool = False,
            use_exact_model_name: bool = False,
        ) -> tuple[Any, None]:  # fmt: skip
            assert use_exact_model_name
            calls.append(f"load full={full_finetuning} 4bit={load_in_4bit} {max_seq_length}")
            return models[model_name], None

        @staticmethod
        def get_peft_model(
            model: Any, r: int = 16, target_modules: Any = (), lora_alpha: int = 16,
            lora_dropout: float = 0.0, bias: str = "none",
            use_gradient_checkpointing: str = "unsloth",
        ) -> Any:  # fmt: skip
            assert set(target_modules) == PROJECTIONS
            calls.append(f"adapt r={r} alpha={lora_alpha} dropout={lora_dropout}")
            return model

        @staticmethod
        def for_inference(model: Any) -> None:
            calls.append("infer")

    module = ModuleType("unsloth")
    module.FastLanguageModel = FastLanguageModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "unsloth", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert load_model(plain, backend="unsloth", adapter="lora", context=512).model is models[plain]
    load_model(plain, backend="unsloth")
    assert load_model(adapted, backend="unsloth", adapter="lora").model is models[adapted]
    load_model(adapted, backend="unsloth", adapter="lora", trainable=False)
    load_model(str(in_run), backend="unsloth", trainable=False)
    assert calls == [
        "load full=False 4bit=False 512",
        "adapt r=8 alpha=16 dropout=0.1",
        "load full=True 4bit=False 4096",
        "load full=False 4bit=False 4096",
        "load full=False 4bit=False 4096",
        "infer",
        "load full=False 4bit=False 4096",
        "infer",
    ]


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["transformers", "unsloth"])
@pytest.mark.parametrize("adapter", ["full", "lora", "qlora"])
def test_on_a_gpu_every_kind_trains(adapter: str, backend: str, tiny_model_dir: Path) -> None:
    if backend == "unsloth":
        pytest.importorskip("unsloth")
    loaded = load_model(str(tiny_model_dir), adapter=adapter, backend=backend, device="cuda")
    assert next(loaded.model.parameters()).is_cuda
    with torch.autocast("cuda", torch.bfloat16):
        before = loss(loaded).item()
        train_steps(loaded)
        assert loss(loaded).item() < before
