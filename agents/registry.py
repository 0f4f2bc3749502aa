"""Agents by name, so that a command line, a file or another process can ask for one.

`make_agent("retrieval", course, seed=0)` for our own; `make_agent("hf:runs/sft", course)` for a
language model by its directory or hub id ("vllm:..." runs it with vLLM);
`make_agent("openai:MODEL", course)` for one behind an API; the three greedy or sampled;
`make_agent("package.module:factory", course, seed=0)` calls `factory(course, seed=0)` for anybody
else's. The text travels where a registered object would not.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias

from novicegym.agents.base import Agent
from novicegym.agents.logged import LoggedAgent
from novicegym.agents.model_files import find_model, trained_format
from novicegym.agents.persistence import PersistenceAgent
from novicegym.agents.reference import ReferenceAgent
from novicegym.agents.retrieval import RetrievalAgent
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import DialogFormat
from novicegym.errors import NovicegymError, UsageError, unknown_name
from novicegym.grading.grader import Grader

_Build: TypeAlias = Callable[[Course, int, Grader | None, DialogFormat | None], Agent]


def _novice(course: Course, seed: int, grader: Grader | None, fmt: DialogFormat | None) -> Agent:
    from novicegym.agents.novice import NoviceAgent

    return NoviceAgent(course, seed=seed, fmt=fmt, grader=grader)


_AGENTS: dict[str, tuple[str, _Build]] = {
    "logged": (
        "the student herself, from the log",
        lambda course, seed, grader, fmt: LoggedAgent(course, fmt=fmt),
    ),
    "persistence": (
        "resubmits the last code",
        lambda course, seed, grader, fmt: PersistenceAgent(course, fmt=fmt),
    ),
    "retrieval": (
        "does what another student did next in the most similar state",
        lambda course, seed, grader, fmt: RetrievalAgent(course, grader=grader, fmt=fmt),
    ),
    "reference": (
        "jumps to a correct solution",
        lambda course, seed, grader, fmt: ReferenceAgent(course, grader=grader, fmt=fmt),
    ),
    "novice": ("a process model of a beginner", _novice),
}


def _transformers(model: str, **sampling: Any) -> Agent:
    from novicegym.agents.language_model import LanguageModelAgent

    return LanguageModelAgent.load(model, **sampling)


def _vllm(model: str, **sampling: Any) -> Agent:
    from novicegym.agents.vllm import VllmAgent

    return VllmAgent.load(model, **sampling)


def _openai(model: str, **sampling: Any) -> Agent:
    from novicegym.agents.openai import OpenAIAgent

    return OpenAIAgent.load(model, **sampling)


WITH_FILES: dict[str, Callable[..., Agent]] = {"hf": _transformers, "vllm": _vllm}
"""What names a model that has files, before a colon."""
_LANGUAGE_MODELS = {**WITH_FILES, "openai": _openai}
"""By what stands before the colon; they need no course."""


def is_language_model(spec: str) -> bool:
    """Return whether `spec` names a language model: one copy of it answers many dialogs at once."""
    kind, _, model = spec.partition(":")
    return kind in _LANGUAGE_MODELS and bool(model)


def check_sampling(spec: str, temperature: float, top_p: float, *, kind: str = "agent") -> None:
    """Raise UsageError where the agent that `spec` names cannot be asked to sample so."""
    if (temperature, top_p) == (0.0, 1.0):
        return
    if not is_language_model(spec):
        raise UsageError(
            f"{kind} {spec!r} does not sample: temperature and top_p are for language models "
            "(hf:..., vllm:..., openai:...)"
        )
    if not 0 <= temperature < math.inf:
        raise UsageError(f"temperature must be at least 0, got {temperature:g}")
    if not 0 < top_p <= 1:
        raise UsageError(f"top_p must be above 0 and at most 1, got {top_p:g}")
    if temperature == 0:
        raise UsageError(
            f"top_p {top_p:g} changes nothing at temperature 0, which is greedy; "
            "give a temperature, too"
        )


def _require_its_format(model: str, fmt: DialogFormat) -> None:
    trained = trained_format(find_model(model), fmt)
    if trained is None or trained == replace(fmt, system_prompt=None):
        return
    raise UsageError(
        f"{model} was trained on dialogs with feedback {trained.feedback} and code {trained.code}; "
        f"ask it so: --feedback {trained.feedback} --code-format {trained.code}"
    )


def describe_agents() -> list[tuple[str, str]]:
    """Return (name, what it does) of every agent of ours, for help texts."""
    return [(name, description) for name, (description, _) in _AGENTS.items()]


def make_agent(
    spec: str,
    course: Course,
    seed: int = 0,
    *,
    grader: Grader | None = None,
    fmt: DialogFormat | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
) -> Agent:
    """Return the agent that `spec` names: one of ours, a language model, or "module:factory".

    course: what the agent may look things up in. seed: of its random choices. grader, fmt: of
    our agents, defaults where None; a run's model must have been trained on this format.
    temperature, top_p: of language models alone; at temperature 0 they are greedy. Raises
    UsageError for a name that does not exist, a model that cannot be loaded or asked so, a module
    that cannot be imported, and a factory that does not take (course, seed=) or makes no agent.
    """
    require_known("agent", spec, _AGENTS)
    check_sampling(spec, temperature, top_p)
    if spec in _AGENTS:
        return _AGENTS[spec][1](course, seed, grader, fmt)
    if is_language_model(spec):
        name, _, model = spec.partition(":")
        if fmt is not None and name in WITH_FILES:
            _require_its_format(model, fmt)
        return load_language_model(spec, seed, temperature, top_p)
    return from_factory("agent", spec, course, seed)


def require_known(kind: str, spec: str, ours: Iterable[str]) -> None:
    """Raise UsageError for a `spec` that neither is one of `ours` nor can be one of others."""
    ours = list(ours)
    module_name, _, factory_name = spec.partition(":")
    is_module = all(part.isidentifier() for part in module_name.split("."))
    if spec not in ours and not (factory_name and is_module):
        models = [*(f"{name}:DIR_OR_ID" for name in WITH_FILES), "openai:MODEL"]
        raise unknown_name(kind, spec, [*ours, *models, "module:factory"])


def load_language_model(spec: str, seed: int, temperature: float, top_p: float) -> Agent:
    """Load the language model that `spec` names, see `is_language_model`."""
    name, _, model = spec.partition(":")
    return _LANGUAGE_MODELS[name](model, seed=seed, temperature=temperature, top_p=top_p)


def from_factory(kind: str, spec: str, course: Course, seed: int) -> Agent:
    """Return what the factory that `spec` names makes; `kind`: what it is to be, for messages."""
    factory = find_factory(kind, spec)
    factory_name = spec.partition(":")[2]
    try:
        inspect.signature(factory).bind(course, seed=seed)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{kind} {spec!r}: the factory is called as {factory_name}(course, seed=0): {error}"
        ) from None
    try:
        agent: Agent = factory(course, seed=seed)
    except NovicegymError:
        raise
    except Exception as error:  # somebody else's code may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"{kind} {spec!r}: its factory failed: {reason}") from error
    if not (
        isinstance(getattr(agent, "name", None), str) and callable(getattr(agent, "act", None))
    ):
        article = "an" if kind == "agent" else "a"
        raise UsageError(
            f"{kind} {spec!r}: the factory made a {type(agent).__name__}; {article} {kind} has a "
            "name and act(dialogs, infos)"
        )
    return agent


def find_factory(kind: str, spec: str) -> Callable[..., Any]:
    """Import the factory that "module:factory" names; UsageError where that fails.

    kind: what it is to make, for messages.
    """
    module_name, _, factory_name = spec.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module may fail in any way while it is read
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(
            f"{error.name}."
        ):
            raise UsageError(f"{kind} {spec!r}: there is no module {error.name!r}") from None
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"{kind} {spec!r}: cannot import module {module_name!r}: {reason}"
        ) from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        callables = [name for name, value in vars(module).items() if callable(value)]
        raise unknown_name(f"factory in module {module_name!r}", factory_name, callables)
    return factory  # type: ignore[no-any-return]  # a module's attribute
