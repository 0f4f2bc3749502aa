"""Tutors by name, as `agents/registry.py` has the students.

`make_tutor("next_step", course)` for our own; `make_tutor("hf:runs/tutor", course)`,
`"vllm:..."` and `"openai:MODEL"` for a language model; `make_tutor("package.module:factory",
course, seed=0)` calls `factory(course, seed=0)` for anybody else's. A tutor is an `Agent`: its
dialogs are the tutor's side of the episode, its answers messages, "" for none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from novicegym.agents.base import Agent
from novicegym.agents.registry import (
    check_sampling,
    from_factory,
    is_language_model,
    load_language_model,
    require_known,
)
from novicegym.agents.tutors.bug_hint import BugHintTutor
from novicegym.agents.tutors.feedback import FeedbackTutor
from novicegym.agents.tutors.language_model import LanguageModelTutor
from novicegym.agents.tutors.next_step import NextStepTutor
from novicegym.agents.tutors.on_request import OnRequestTutor
from novicegym.agents.tutors.silent import SilentTutor
from novicegym.agents.tutors.solution import SolutionTutor
from novicegym.courses.model import Course
from novicegym.grading.grader import Grader

_Build: TypeAlias = Callable[[Course, Grader | None], Agent]

_TUTORS: dict[str, tuple[str, _Build]] = {
    "silent": ("says nothing", lambda course, grader: SilentTutor()),
    "feedback": (
        "restates the first failed test in words",
        lambda course, grader: FeedbackTutor(course, grader=grader),
    ),
    "next_step": (
        "describes the edit by which a student in the nearest logged state got further",
        lambda course, grader: NextStepTutor(course, grader=grader),
    ),
    "bug_hint": (
        "names the lines that differ from the nearest correct program",
        lambda course, grader: BugHintTutor(course, grader=grader),
    ),
    "solution": (
        "gives a correct program away",
        lambda course, grader: SolutionTutor(course, grader=grader),
    ),
}

_ON_REQUEST = "on_request:"

TUTORS = tuple(_TUTORS)
"""The names of our own, from the one who says least to the one who says all."""


def describe_tutors() -> list[tuple[str, str]]:
    """Return (name, what it does) of every tutor of ours, for help texts."""
    return [(name, description) for name, (description, _) in _TUTORS.items()]


def who_speaks(spec: str) -> str:
    """Return the tutor that `spec` names; of on_request:TUTOR it is TUTOR."""
    while spec.startswith(_ON_REQUEST):
        spec = spec.removeprefix(_ON_REQUEST)
    return spec


def make_tutor(
    spec: str,
    course: Course,
    seed: int = 0,
    *,
    grader: Grader | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
) -> Agent:
    """Return the tutor that `spec` names: one of ours, a language model, or "module:factory".

    course: what the tutor may look things up in. seed: of random choices, which ours make none
    of. grader: of ours, the shared one where None. temperature, top_p: of language models alone.
    "on_request:NAME" is the tutor NAME where a student would ask (`on_request.py`). Raises
    UsageError as `agents.registry.make_agent` does.
    """
    if spec.startswith(_ON_REQUEST):
        inner = spec.removeprefix(_ON_REQUEST)
        made = make_tutor(inner, course, seed, grader=grader, temperature=temperature, top_p=top_p)
        return OnRequestTutor(made, seed=seed)
    require_known("tutor", spec, _TUTORS)
    check_sampling(spec, temperature, top_p, kind="tutor")
    if spec in _TUTORS:
        return _TUTORS[spec][1](course, grader)
    if is_language_model(spec):
        return LanguageModelTutor(load_language_model(spec, seed, temperature, top_p))
    return from_factory("tutor", spec, course, seed)
