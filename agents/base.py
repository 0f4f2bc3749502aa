"""What every policy is: text in, text out, a batch at a time.

A policy that reads the dialogs is a language model's equal; one that knows the logs (the
baselines) looks up what it needs by the ids in the infos, and cannot hear a tutor. A completion
is whatever a model may say; `completion` writes one in the serialization of the logged dialogs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from novicegym.dialogs.serialize import Dialog, DialogFormat, assistant_message


class Agent(Protocol):
    """A policy in the student's seat.

    It may have an attribute `listens: bool`: whether what a tutor says in a dialog can change what
    it submits. Of ours, language models and the novice listen, the baselines do not. An agent that
    does not say is taken to read its dialogs; see `envs.partner.require_listening`.
    """

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return one completion per dialog, in order.

        `infos` are the environment's info dicts, one per dialog: student_id, assignment_id,
        term, position (logged submissions before the start), step (submissions made since),
        and code, grade, outcome and case_bits of the last submission. They say so at every
        feedback level, "none" too: a policy that must not know reads only the dialogs.
        Two keys are there only when a tutor has gone (`envs.afterwards`): sample, from 1, which of
        several programs asked for in the same state, and past, the dialog and the info of an
        episode of hers before this one.
        """
        ...


Asked: TypeAlias = tuple[int, Dialog, Mapping[str, Any]]
"""A dialog that waits for its completion: the ticket it is answered by, and its info."""


@runtime_checkable
class StreamingAgent(Agent, Protocol):
    """A policy that takes dialogs in while it answers others."""

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        """Yield (ticket, completion) of what is taken in, as each is there.

        take: called with whether to wait for something; returns what has come since the last
        call. It ends when `take` has waited and returns nothing.
        """
        ...


def act_by_streaming(
    agent: StreamingAgent, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return what the agent's `stream` says to dialogs that come all at once, in order."""
    coming = [list(zip(range(len(dialogs)), dialogs, infos, strict=True))]
    said: dict[int, str] = {}
    for answers in agent.stream(lambda _: coming.pop() if coming else []):
        said.update(answers)
    return [said[place] for place in range(len(dialogs))]


def completion(code: str, info: Mapping[str, Any], fmt: DialogFormat) -> str:
    """Return what a student writes who submits `code` in the state `info`."""
    return assistant_message(code, info["code"] or None, fmt)["content"]
