"""Recipes: what ships, what overrides what, and what is said of mistakes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from novicegym.errors import UsageError
from novicegym.training.recipes import (
    STAGES,
    BaseRecipe,
    DapoRecipe,
    DpoRecipe,
    ParaRecipe,
    SftRecipe,
    explain,
    read_recipe,
    recipe_names,
    to_json,
)

CHAIN = """
model: runs/start
learning_rate: 1e-4
epochs: 2
dpo:
  beta: 0.1
  learning_rate: 5e-6
sft:
  batch_size: 4
"""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return written(tmp_path, CHAIN)


def written(folder: Path, text: str) -> Path:
    path = folder / "chain.yaml"
    path.write_text(text, "utf-8")
    return path


def values(recipe: Any, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(recipe, name) for name in names)


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_can_be_read_for_every_stage(name: str) -> None:
    for stage, kind in STAGES.items():
        recipe = read_recipe(stage, name)
        assert type(recipe) is kind
        assert to_json(recipe)["stage"] == stage


def test_only_recipes_are_listed() -> None:
    models = ["qwen3-4b", "qwen3-8b"]
    assert recipe_names() == sorted(
        [*models, *(f"{name}-published" for name in models), "small", "tiny"]
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [("qwen3-4b", "Qwen/Qwen3-4B-Instruct-2507"), ("qwen3-8b", "Qwen/Qwen3-8B")],
)
def test_the_papers_values(name: str, model: str) -> None:
    for stage in ("sft", "para", "dpo", "dapo"):
        recipe = read_recipe(stage, name)
        assert values(recipe, "model", "adapter", "lora_rank", "lora_alpha") == (
            model,
            "qlora",
            8,
            16,
        )
        assert values(recipe, "context", "epochs", "scheduler") == (4096, 1.0, "cosine")
        assert recipe.validation == 0.2
        preference = stage in ("dpo", "dapo")
        assert recipe.learning_rate == (1e-5 if preference else 1e-4)
        assert recipe.feedback == ("none" if stage == "para" else "full")
        # Where the paper is silent, the published configuration's.
        assert values(recipe, "lora_dropout", "warmup", "weight_decay") == (0.1, 0.1, 0.1)
        steps_of = {"sft": (1, 16), "para": (1, 16), "dpo": (1, 8), "dapo": (8, 1)}
        assert values(recipe, "batch_size", "accumulation") == steps_of[stage]
    dpo = read_recipe("dpo", name)
    assert values(dpo, "beta", "strategy", "first_submission") == (0.5, "grade", False)
    dapo = read_recipe("dapo", name)
    assert values(dapo, "positions", "group", "reward") == (2, 4, "tiered")
    assert values(dapo, "clip_low", "clip_high", "temperature") == (0.2, 0.28, 1.0)


@pytest.mark.parametrize("size", ["4b", "8b"])
def test_the_published_variant_differs_where_the_released_code_does(size: str) -> None:
    def differences(stage: str) -> dict[str, Any]:
        paper, code = (to_json(read_recipe(stage, f"qwen3-{size}{end}")) for end in PAPER_AND_CODE)
        return {key: code[key] for key in code if code[key] != paper[key]}

    assert differences("sft") == differences("para") == {}
    assert differences("dpo") == {"optimizer": "adamw_8bit"}
    assert differences("dapo") == {
        "positions": 1,
        "reward": "published",
        "overlong": 0,  # its reward has a length term of its own
        "scheduler": "constant_with_warmup",
    }


PAPER_AND_CODE = ("", "-published")


def test_defaults_are_the_papers() -> None:
    for stage in ("sft", "para", "dpo", "dapo"):
        shipped, default = read_recipe(stage, "qwen3-4b"), read_recipe(stage)
        changed = {"gradient_checkpointing": True}  # the memory of one GPU
        assert shipped == dataclasses.replace(default, **changed)


def test_flags_go_over_sections_over_common_keys_over_defaults(chain: Path) -> None:
    dpo = read_recipe("dpo", chain, {"beta": "0.7"})
    assert isinstance(dpo, DpoRecipe)
    assert (dpo.beta, dpo.learning_rate, dpo.epochs) == (0.7, 5e-6, 2.0)
    assert (dpo.batch_size, dpo.accumulation) == (1, DpoRecipe().accumulation)
    sft = read_recipe("sft", chain, {"epochs": "0.5", "model": "runs/other"})
    assert (sft.learning_rate, sft.epochs, sft.batch_size) == (1e-4, 0.5, 4)
    assert sft.model == "runs/other"
    assert read_recipe("para", chain).batch_size == 1


def test_a_section_may_take_back_what_all_stages_have_but_its_own_cannot(tmp_path: Path) -> None:
    chain = tmp_path / "chain.yaml"
    chain.write_text("feedback: grade\npara:\n  feedback: none\n")
    assert read_recipe("para", chain).feedback == "none"
    assert read_recipe("sft", chain).feedback == "grade"
    chain.write_text("feedback: grade\n")
    with pytest.raises(UsageError, match="feedback is one of none; got 'grade'"):
        read_recipe("para", chain)


def test_yaml_writes_numbers_as_people_do(tmp_path: Path) -> None:
    # YAML 1.1 reads 1e-4 as a text, 1.0e-4 as a number, and 2 as no float.
    for text in ("1e-4", "1.0e-4", "0.0001", "'1e-4'"):
        recipe = read_recipe("sft", written(tmp_path, f"learning_rate: {text}\nepochs: 2"))
        assert recipe.learning_rate == 1e-4
        assert isinstance(recipe.epochs, float)
    recipe = read_recipe("dpo", written(tmp_path, "batch_size: 8.0\nfirst_submission: true"))
    assert isinstance(recipe, DpoRecipe)
    assert isinstance(recipe.batch_size, int)
    assert recipe.first_submission is True
    assert read_recipe("dpo", None, {"first_submission": "true"}) == DpoRecipe(
        first_submission=True
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sft:\n  learning_rat: 1", ["section 'sft'", "'learning_rat'", "'learning_rate'?"]),
        ("para:\n  beta: 0.5", ["section 'para'", "key of stage 'para' 'beta'"]),
        ("batchsize: 4", ["unknown key 'batchsize'", "'batch_size'?"]),
        ("ppo:\n  beta: 0.5", ["unknown key 'ppo'", "'dpo'?"]),
        ("dpo:\n  beta: high", ["section 'dpo': beta is a number, got 'high'"]),
        ("epochs: yes", ["epochs is a number, got True"]),
        ("batch_size: 1.5", ["batch_size is a whole number, got 1.5"]),
        ("seed: .inf", ["seed is a whole number, got inf"]),
        ("learning_rate: .nan", ["learning_rate is a number, got nan"]),
        ("model: 4", ["model is a text, got 4"]),
        ("adapter: qlorra", ["adapter is one of full, lora, qlora; got 'qlorra'"]),
        ("dpo:\n  first_submission: maybe", ["first_submission is true or false, got 'maybe'"]),
        ("sft: 3", ["section 'sft' holds keys and values"]),
        ("sft:", ["section 'sft' holds keys and values"]),
        ("- 1\n- 2", ["a recipe holds keys and values, got list"]),
        ("a: [", ["this is no YAML"]),
        ("", ["a recipe holds keys and values, got NoneType"]),
    ],
)
def test_a_mistake_in_a_file_is_named_with_file_section_and_key(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    path = written(tmp_path, text)
    # A section of another stage is read, too: its mistakes are told before its turn comes.
    with pytest.raises(UsageError) as told:
        read_recipe("sft", path)
    assert str(path) in str(told.value)
    for part in parts:
        assert part in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"lerning_rate": "1"}, "--set: unknown key of stage 'sft' 'lerning_rate'. Did you mean"),
        ({"beta": "0.5"}, "unknown key of stage 'sft' 'beta'"),
        ({"batch_size": "0"}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": "0"}, "learning_rate must be above 0, got 0.0"),
        ({"learning_rate": "nan"}, "--set: learning_rate is a number, got 'nan'"),
        ({"epochs": "inf"}, "--set: epochs is a number, got 'inf'"),
        ({"validation": "1"}, "validation must be above 0 and below 1, got 1.0"),
        ({"seed": "-1"}, "seed must be at least 0, got -1"),
        ({"warmup": "2"}, "warmup must be between 0 and 1, got 2.0"),
        ({"lora_dropout": "1.5"}, "lora_dropout must be between 0 and 1, got 1.5"),
        ({"weight_decay": "-1"}, "weight_decay must be at least 0, got -1.0"),
        ({"scheduler": "cosin"}, "scheduler is one of cosine, linear, "),
        ({"optimizer": "adamw"}, "optimizer is one of adamw_torch, "),
    ],
)
def test_a_value_that_cannot_be_is_refused(over: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as told:
        read_recipe("sft", None, over)
    assert message in str(told.value)


def test_what_does_not_exist_is_named_with_what_does(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown stage 'spo'\. Did you mean '(sft|dpo)'"):
        read_recipe("spo")
    with pytest.raises(UsageError, match=r"unknown recipe 'qwen3_8b'\. Did you mean 'qwen3-8b'"):
        read_recipe("sft", "qwen3_8b")
    for absent in (tmp_path / "none.yaml", "none.yaml", "recipes/none"):
        with pytest.raises(UsageError, match="there is no such recipe file"):
            read_recipe("sft", absent)


def test_every_value_is_explained_and_comes_back_from_json(tmp_path: Path) -> None:
    for recipe in (BaseRecipe(), SftRecipe(), ParaRecipe(), DpoRecipe(), DapoRecipe()):
        told = explain(recipe)
        assert [name for name, _, _ in told] == [field.name for field in dataclasses.fields(recipe)]
        assert all(meaning for _, _, meaning in told)
        record = to_json(recipe)
        texts = {name: str(value).lower() for name, value in record.items() if name != "stage"}
        texts["model"] = recipe.model
        assert read_recipe(record["stage"], None, texts) == recipe
