"""Which files a model is made of, by the name it is given."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from novicegym.agents.model_files import ModelFiles, find_model, loading, longest_context
from novicegym.errors import UsageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plain(folder: str) -> str:
    Path(folder).mkdir(parents=True)
    (Path(folder) / "config.json").write_text("{}")
    return str(Path(folder).absolute())


def adapter(folder: str, base: object, *, tokenizer: bool = False) -> str:
    Path(folder).mkdir(parents=True)
    settings = json.dumps({"base_model_name_or_path": base})
    (Path(folder) / "adapter_config.json").write_text(settings)
    if tokenizer:
        (Path(folder) / "tokenizer_config.json").write_text("{}")
    return str(Path(folder).absolute())


def run(folder: str, kind: str = "training") -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "run.json").write_text(json.dumps({"kind": kind}))


def test_directories_are_found_from_any_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = plain("models/small")
    files = find_model("models/small")
    assert files == ModelFiles("small", place, None, place)
    assert files.named == place
    monkeypatch.chdir(here / "models" / "small")
    assert find_model(".") == files


def test_adapter_names_its_base_and_brings_its_tokenizer_or_not() -> None:
    base = plain("base")
    place = adapter("bare", "base")
    assert find_model("bare") == ModelFiles("bare", base, place, base)
    assert find_model("bare").named == place
    place = adapter("whole", "Owner/Model-4B", tokenizer=True)
    assert find_model("whole") == ModelFiles("whole", "Owner/Model-4B", place, place)


def test_hub_id_is_taken_as_it_is() -> None:
    files = find_model("Owner/Model-4B")
    assert files == ModelFiles("Owner/Model-4B", "Owner/Model-4B", None, "Owner/Model-4B")


def test_training_run_stands_for_the_model_in_it_and_gives_its_name(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = plain("runs/base/model")
    run("runs/base")
    by_run = ModelFiles("base", place, None, place, Path(place).parent)
    assert find_model("runs/base") == find_model("runs/base/model") == by_run
    joined = adapter("runs/sft/model", place)
    run("runs/sft")
    assert find_model("runs/sft") == ModelFiles("sft", place, joined, place, Path(joined).parent)
    monkeypatch.chdir(here / "runs" / "base")
    assert find_model(".") == find_model("model") == by_run


def test_only_the_model_of_a_training_run_has_its_name() -> None:
    plain("runs/sft/model")
    assert find_model("runs/sft/model").name == "model"
    run("runs/sft")
    plain("runs/sft/checkpoints/checkpoint-10")
    assert find_model("runs/sft/checkpoints/checkpoint-10").name == "checkpoint-10"


@pytest.mark.parametrize("model", ["runs/sft", "runs/sft/model"])
def test_training_that_has_not_ended_is_told(model: str) -> None:
    run("runs/sft")
    with pytest.raises(UsageError, match=f"^{model} holds no model: .*not ended.* --resume"):
        find_model(model)


def test_folder_of_a_rollout_is_no_model() -> None:
    run("runs/played", kind="rollout")
    with pytest.raises(UsageError, match=r"neither config\.json nor adapter_config\.json"):
        find_model("runs/played")


@pytest.mark.parametrize("base", [None, "", 7])
def test_adapter_that_names_no_base_is_told(base: object) -> None:
    adapter("sft", base)
    with pytest.raises(UsageError, match="does not name the adapter's base model"):
        find_model("sft")


def test_adapter_whose_base_is_gone_is_told() -> None:
    adapter("sft", "gone/for/good")
    with pytest.raises(UsageError, match="sft was trained on 'gone/for/good', which is not there"):
        find_model("sft")


def test_what_fails_while_loading_is_told_in_one_line_but_not_short_memory() -> None:
    torch = pytest.importorskip("torch")
    plain("small")
    for kind in (ImportError, OSError, RuntimeError):
        told = r"^small cannot be loaded: needs more$"
        with pytest.raises(UsageError, match=told), loading("small"):
            raise kind("needs\nmore")
    told = r"^Owner/Model is no directory here .*\(ValueError\)$"
    with pytest.raises(UsageError, match=told), loading("Owner/Model"):
        raise ValueError
    for kept in (UsageError, torch.OutOfMemoryError):
        with pytest.raises(kept, match=r"^as it is$"), loading("small"):
            raise kept("as it is")


def test_model_without_a_limit_reads_any_context() -> None:
    def config(**settings: object) -> SimpleNamespace:
        return SimpleNamespace(get_text_config=lambda: SimpleNamespace(**settings))

    assert longest_context(config(max_position_embeddings=600)) == 600
    assert longest_context(config()) > 10**9
