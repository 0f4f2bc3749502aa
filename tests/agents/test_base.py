"""What all agents share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from novicegym.agents.base import Asked, act_by_streaming
from novicegym.dialogs.serialize import Dialog


class LastFirst:
    """Answers what it has taken in one at a time, the last one first, with ticket and step."""

    name = "last first"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        return act_by_streaming(self, dialogs, infos)

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        while asked := take(True):
            for ticket, dialog, info in reversed(asked):
                yield [(ticket, f"{dialog[-1]['content']} {info['step']}")]


def dialogs(*texts: str) -> list[Dialog]:
    return [[{"role": "user", "content": text}] for text in texts]


def test_answers_of_a_stream_come_in_order_of_the_dialogs() -> None:
    infos = [{"step": step} for step in range(3)]
    assert LastFirst().act(dialogs("a", "b", "a"), infos) == ["a 0", "b 1", "a 2"]
    assert LastFirst().act([], []) == []


def test_dialogs_and_infos_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="shorter"):
        LastFirst().act(dialogs("a", "b"), [{"step": 0}])
