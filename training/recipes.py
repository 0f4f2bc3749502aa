"""What a training stage is run with: typed, with the paper's values, readable from YAML.

One YAML file describes a chain of stages: keys at its top hold for all of them, a section named
for a stage for that one only.

    model: Qwen/Qwen3-8B
    adapter: qlora
    dpo:
      beta: 0.1

`read_recipe("dpo", "file.yaml", {"seed": "1"})` reads it, with single values over it. Recipes
that ship are asked for by name (`recipe_names`). Sources: the paper's section 5.1, and for what it
leaves open (batch, warm-up, weight decay) the published configuration, SPEC A5 to A7.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

from novicegym.dialogs.serialize import CodeFormat, DialogFormat
from novicegym.errors import UsageError, unknown_name
from novicegym.grading.feedback import FeedbackLevel
from novicegym.rewards.tutoring import DEFAULT_TUTOR_REWARD

Adapter: TypeAlias = Literal["full", "lora", "qlora"]
Backend: TypeAlias = Literal["transformers", "unsloth"]
Strategy: TypeAlias = Literal["grade", "next", "random"]
Scheduler: TypeAlias = Literal["cosine", "linear", "constant", "constant_with_warmup"]
Optimizer: TypeAlias = Literal[
    "adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor"
]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every stage is run with."""

    stage: ClassVar[str]

    model: Annotated[str, "directory or hub id; an adapter goes on"] = "Qwen/Qwen3-4B-Instruct-2507"
    adapter: Annotated[Adapter, "full: all weights; lora; qlora: lora over 4-bit weights"] = "qlora"
    backend: Annotated[Backend, "unsloth needs a CUDA device"] = "transformers"
    lora_rank: Annotated[int, "of a new adapter"] = 8
    lora_alpha: Annotated[int, "of a new adapter"] = 16
    lora_dropout: Annotated[float, "of a new adapter"] = 0.1
    context: Annotated[int, "most tokens of prompt and answer together"] = 4096
    feedback: Annotated[FeedbackLevel, "what the grader's turns say"] = "full"
    code: Annotated[CodeFormat, "how submissions are written: code or dual"] = "code"
    validation: Annotated[
        float, "share of the students that is held out to choose a checkpoint"
    ] = 0.2
    seed: Annotated[int, "of the split, the order and every draw"] = 0
    epochs: Annotated[float, "passes over the data"] = 1.0
    learning_rate: Annotated[float, "the highest"] = 1e-4
    scheduler: Annotated[Scheduler, "of the learning rate"] = "cosine"
    warmup: Annotated[float, "share of the steps in which the learning rate rises"] = 0.1
    batch_size: Annotated[int, "rows on a device at once"] = 1
    accumulation: Annotated[int, "batches a step"] = 16
    weight_decay: Annotated[float, "of AdamW"] = 0.1
    max_grad_norm: Annotated[float, "longer gradients are cut to this"] = 1.0
    optimizer: Annotated[Optimizer, "8-bit ones hold their state in a quarter of the memory"] = (
        "adamw_torch"
    )
    gradient_checkpointing: Annotated[bool, "less memory for a third more time"] = False
    checkpoints: Annotated[int, "saved and validated in a run, at even distances"] = 4

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            if getattr(self, name, 1) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in _ABOVE_ZERO:
            if not getattr(self, name, 1) > 0:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in _AT_LEAST_ZERO:
            if getattr(self, name, 0) < 0:
                raise UsageError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in _SHARES:
            if not 0 <= getattr(self, name, 0) <= 1:
                raise UsageError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.validation in (0, 1):
            raise UsageError(f"validation must be above 0 and below 1, got {self.validation}")

    @property
    def format(self) -> DialogFormat:
        """How dialogs are written."""
        return DialogFormat(self.code, self.feedback)


_AT_LEAST_ONE = (
    *("lora_rank", "lora_alpha", "context", "batch_size", "accumulation", "checkpoints"),
    *("positions", "group", "completion", "horizon"),
)
_ABOVE_ZERO = ("learning_rate", "epochs", "beta", "temperature", "top_p")
_AT_LEAST_ZERO = ("seed", "weight_decay", "max_grad_norm", "clip_low", "clip_high", "resamples")
_SHARES = ("validation", "warmup", "lora_dropout", "top_p", "overlong")


@dataclass(frozen=True, kw_only=True)
class BaseRecipe(Recipe):
    """A model that never saw a student: it learns to write the course's correct programs."""

    stage: ClassVar[str] = "base"


@dataclass(frozen=True, kw_only=True)
class SftRecipe(Recipe):
    """Supervised fine-tuning on the logged dialogs (paper, section 4.1)."""

    stage: ClassVar[str] = "sft"


@dataclass(frozen=True, kw_only=True)
class ParaRecipe(Recipe):
    """The same without the grader's feedback (paper, section 4.1)."""

    stage: ClassVar[str] = "para"
    feedback: Annotated[Literal["none"], "what the grader's turns say: nothing, or it is sft"] = (
        "none"
    )


@dataclass(frozen=True, kw_only=True)
class DpoRecipe(Recipe):
    """Direct preference optimization on pairs mined from the logs (paper, section 4.2)."""

    stage: ClassVar[str] = "dpo"
    learning_rate: Annotated[float, "the highest"] = 1e-5
    accumulation: Annotated[int, "batches a step"] = 8
    beta: Annotated[float, "how dear it is to move away from the SFT policy"] = 0.5
    strategy: Annotated[Strategy, "which later submission is rejected"] = "grade"
    first_submission: Annotated[
        bool, "whether the first submission is chosen, too, before any was seen"
    ] = False


@dataclass(frozen=True, kw_only=True)
class OnPolicyRecipe(Recipe):
    """On-policy optimization in the environment, from either chair (paper, section 4.3)."""

    learning_rate: Annotated[float, "the highest"] = 1e-5
    batch_size: Annotated[int, "completions on a device at once"] = 8
    accumulation: Annotated[int, "batches a step"] = 1
    max_grad_norm: Annotated[float, "longer gradients are cut to this"] = 0.3
    positions: Annotated[int, "prefixes drawn from each trajectory"] = 2
    group: Annotated[int, "completions of one prefix, which are compared with each other"] = 4
    completion: Annotated[int, "most tokens of a completion"] = 1024
    temperature: Annotated[float, "of sampling"] = 1.0
    top_p: Annotated[float, "of sampling; below 1 the importance ratio is of another policy"] = 1.0
    clip_low: Annotated[float, "how far below 1 the importance ratio counts"] = 0.2
    clip_high: Annotated[float, "how far above 1 it counts"] = 0.28
    overlong: Annotated[float, "last share of `completion` in which length costs up to 1 point"] = (
        0.1
    )
    resamples: Annotated[int, "how often a group of equal rewards is replaced"] = 3
    horizon: Annotated[int, "submissions a rollout may make"] = 1


@dataclass(frozen=True, kw_only=True)
class DapoRecipe(OnPolicyRecipe):
    """A student learns by submitting."""

    stage: ClassVar[str] = "dapo"
    reward: Annotated[str, "tiered (the paper's) or published (the released code's)"] = "tiered"


@dataclass(frozen=True, kw_only=True)
class TutorSftRecipe(SftRecipe):
    """From the tutor's chair: a model learns to say what another tutor says of logged states."""

    stage: ClassVar[str] = "tutor-sft"
    tutor: Annotated[str, "whose messages: a tutor of ours, or module:factory"] = "next_step"
    positions: Annotated[int, "submissions drawn from each trajectory, a message to each"] = 5


@dataclass(frozen=True, kw_only=True)
class TutorDapoRecipe(OnPolicyRecipe):
    """From the tutor's chair: it learns from what a student does after its messages."""

    stage: ClassVar[str] = "tutor-dapo"
    completion: Annotated[int, "most tokens of a message"] = 256
    horizon: Annotated[int, "messages a rollout may say"] = 1
    student: Annotated[str, "who reads them and does not learn: an agent that listens"] = "novice"
    tutor_reward: Annotated[str, "a tutor reward's name, or names and weights as JSON"] = (
        json.dumps(dict(DEFAULT_TUTOR_REWARD))
    )


STAGES: dict[str, type[Recipe]] = {
    recipe.stage: recipe
    for recipe in (
        *(BaseRecipe, SftRecipe, ParaRecipe, DpoRecipe, DapoRecipe),
        *(TutorSftRecipe, TutorDapoRecipe),
    )
}
"""Those of the tutor's chair are named for it, in files and on the command line alike."""


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with novicegym."""
    return sorted(path.name.removesuffix(".yaml") for path in _shipped())


def read_recipe(
    stage: str, source: str | Path | None = None, over: Mapping[str, str] | None = None
) -> Recipe:
    """Return a stage's recipe: defaults, then `source`, a name or a YAML file, then `over`.

    Raises UsageError for what does not exist or has the wrong type, with the file and the key.
    """
    if stage not in STAGES:
        raise unknown_name("stage", stage, STAGES)
    values: dict[str, Any] = {}
    if source is not None:
        where, chain = _read_chain(source)
        known = {name for recipe in STAGES.values() for name in _types(recipe)}
        for key, value in chain.items():
            if key in STAGES:
                if not isinstance(value, Mapping):
                    raise UsageError(f"{where}: section {key!r} holds keys and values")
                section = _converted(STAGES[key], value, f"{where}, section {key!r}")
                values |= section if key == stage else {}
            elif key not in known:
                raise _in(where, unknown_name("key", key, [*known, *STAGES]))
        own = _types(STAGES[stage]).keys() - values.keys()
        common = {key: value for key, value in chain.items() if key in own}
        values = _converted(STAGES[stage], common, where) | values
    values |= _converted(STAGES[stage], over or {}, "--set")
    return STAGES[stage](**values)


def explain(recipe: Recipe) -> list[tuple[str, Any, str]]:
    """Return (key, value, what it means) of every field."""
    hints = get_type_hints(type(recipe), include_extras=True)
    return [
        (f.name, getattr(recipe, f.name), hints[f.name].__metadata__[0]) for f in fields(recipe)
    ]


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Return the stage and every value."""
    return {"stage": recipe.stage} | dataclasses.asdict(recipe)


def _shipped() -> list[Any]:
    return [p for p in files("novicegym.recipes").iterdir() if p.name.endswith(".yaml")]


def _read_chain(source: str | Path) -> tuple[str, dict[str, Any]]:
    import yaml

    path: Any = Path(source)
    named = {shipped.name.removesuffix(".yaml"): shipped for shipped in _shipped()}
    if str(source) in named:
        path = named[str(source)]
    elif not path.is_file():
        if path.suffix in (".yaml", ".yml") or "/" in str(source):
            raise UsageError(f"{source}: there is no such recipe file")
        raise unknown_name("recipe", str(source), named)
    try:
        chain = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: this is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(chain, dict):
        raise UsageError(f"{source}: a recipe holds keys and values, got {type(chain).__name__}")
    return str(source), chain


def _types(recipe: type[Recipe]) -> dict[str, Any]:
    hints = get_type_hints(recipe)
    return {f.name: hints[f.name] for f in fields(recipe)}


def _converted(recipe: type[Recipe], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    types = _types(recipe)
    values = {}
    for key, value in given.items():
        if key not in types:
            raise _in(where, unknown_name(f"key of stage {recipe.stage!r}", str(key), types))
        values[key] = _value(f"{where}: {key}", types[key], value)
    return values


def _value(name: str, kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise UsageError(f"{name} is one of {', '.join(get_args(kind))}; got {value!r}")
        return value
    if kind is bool:
        texts = {"true": True, "false": False}
        if isinstance(value, bool) or str(value) in texts:
            return texts.get(str(value), value)
    elif kind is str:
        if isinstance(value, str):
            return value
    elif not isinstance(value, bool):
        try:
            # YAML takes 1e-4 for a text.
            number = float(value)
            if isfinite(number) and (kind is float or number == int(number)):
                return kind(number)
        except (TypeError, ValueError):
            pass
    raise UsageError(f"{name} is {_KINDS[kind]}, got {value!r}")


_KINDS = {
    bool: "true or false",
    str: "a text",
    int: "a whole number",
    float: "a number",
}


def _in(where: str, error: UsageError) -> UsageError:
    return UsageError(f"{where}: {error}")
