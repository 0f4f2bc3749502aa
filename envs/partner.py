"""Who sits in the other chair: the tutor of a student's environment, the student of a tutor's.

A partner is whatever has a name and `act(dialogs, infos)`, as every agent does. An environment
takes one as it is, or something to call with the course: a class, a function, or
"package.module:factory", which is JSON-able and imported only when the environment is made. A
factory with `seed=0` behind the course is good for the agents' registries, too.

Covered: making a partner, asking it, and saying what is wrong with one. Not covered: names of
agents and sampling, for which the agents' registries are.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog
from novicegym.errors import UsageError


class Partner(Protocol):
    """The policy in the other chair; `agents.base.Agent` says the same of every agent."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return a completion or a message per dialog of its own chair, in order."""
        ...


_MAKERS = {
    "student": "novicegym.agents.registry.make_agent(NAME, course)",
    "tutor": "novicegym.agents.tutors.registry.make_tutor(NAME, course)",
}

PartnerSpec: TypeAlias = str | Partner | Callable[[Course], Partner]
"""A partner, what makes one for a course, or "package.module:factory"."""


def open_partner(given: PartnerSpec, course: Course, chair: str) -> Partner:
    """Return the partner for `chair` ("student" or "tutor") that `given` is, names or makes.

    Raises UsageError for a text that names no factory, and for what is or makes no partner.
    """
    made: object = given
    if isinstance(given, str):
        made = _imported(given, chair)(course)
    elif isinstance(given, type) or not hasattr(given, "act"):
        if not callable(given):
            raise _no_partner(given, chair)
        made = given(course)
    if not isinstance(getattr(made, "name", None), str) or not callable(getattr(made, "act", None)):
        raise _no_partner(made, chair)
    return made  # type: ignore[return-value]  # it has what a partner has


def require_listening(student: Partner) -> None:
    """Raise UsageError for a student that does the same whatever a tutor says.

    It says so by an attribute `listens` that is False; a student without one listens.
    """
    if not getattr(student, "listens", True):
        raise UsageError(
            f"student {student.name!r} does not listen: it does the same whatever a tutor says; "
            "take novice or a language model (hf:..., vllm:..., openai:...), or let an agent of "
            "your own that reads its dialogs have listens = True"
        )


def completions_of(
    student: Partner, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return what the student submits; nobody is asked about no dialogs.

    Raises UsageError for what is no list of one text per dialog.
    """
    if not dialogs:
        return []
    said: object = student.act(dialogs, infos)
    if not isinstance(said, list) or len(said) != len(dialogs):
        raise UsageError(
            f"student {student.name!r} must return a list of one completion per dialog; "
            f"got {said!r:.80}"
        )
    for one in said:
        if not isinstance(one, str):
            raise UsageError(
                f"student {student.name!r} must return texts, got {type(one).__name__}"
            )
    return said


def _imported(spec: str, chair: str) -> Callable[[Course], object]:
    module_name, _, name = spec.partition(":")
    is_ours = module_name in ("hf", "vllm", "openai", "on_request")
    if is_ours or not (name and all(part.isidentifier() for part in module_name.split("."))):
        raise UsageError(
            f"a {chair} by name is 'package.module:factory', got {spec!r}; make one of ours first: "
            f"{_MAKERS[chair]}"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"{chair} {spec!r}: {error}") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        raise UsageError(f"{chair} {spec!r}: module {module_name!r} has no {name!r} to call")
    return factory  # type: ignore[no-any-return]  # a module's attribute


def _no_partner(thing: object, chair: str) -> UsageError:
    return UsageError(
        f"a {chair} has a name and act(dialogs, infos), or is called with the course and makes "
        f"one; got {thing!r}"
    )
