"""One agent asked by many threads: who gets what, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest

from novicegym.agents.base import Asked
from novicegym.dialogs.serialize import Dialog
from novicegym.errors import AgentError, UsageError
from novicegym.eval.serving import Serving


class Echo:
    """Says what it was asked; notes the sizes of its batches."""

    name = "echo"

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.open = threading.Event()
        self.open.set()

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        self.open.wait(60)
        self.sizes.append(len(dialogs))
        return [dialog[0]["content"] for dialog in dialogs]


def questions(*texts: str) -> tuple[list[Dialog], list[dict[str, Any]]]:
    return [[{"role": "user", "content": text}] for text in texts], [{} for _ in texts]


def answers(serving: Serving, *texts: str) -> list[str]:
    found = dict(chain.from_iterable(serving.ask(*questions(*texts))))
    return [found[place] for place in range(len(texts))]


def test_every_asker_gets_the_answers_to_what_he_asked() -> None:
    serving = Serving(Echo(), batch_size=7)
    asked = [[f"{asker}.{number}" for number in range(asker)] for asker in range(1, 40)]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda texts: answers(serving, *texts), asked))
    assert found == asked


def test_what_waits_goes_into_one_batch_up_to_its_size() -> None:
    echo = Echo()
    serving = Serving(echo, batch_size=4)
    echo.open.clear()
    with ThreadPoolExecutor(7) as pool:
        first = pool.submit(answers, serving, "first")
        while not serving._waiting.empty():
            pass
        others = [pool.submit(answers, serving, str(number)) for number in range(6)]
        while serving._waiting.qsize() < 6:
            pass
        echo.open.set()
        assert first.result(60) == ["first"]
        assert [one.result(60) for one in others] == [[str(number)] for number in range(6)]
    assert echo.sizes == [1, 4, 2]


class Counter:
    """Takes dialogs in while it answers: those that came first are answered last."""

    name = "counter"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        raise AssertionError("it is streamed")

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        waiting = list(take(True))
        while waiting:
            ticket, dialog, _ = waiting.pop()
            yield [(ticket, dialog[0]["content"])]
            waiting += take(not waiting)


def test_an_asker_hears_of_each_answer_when_it_is_there() -> None:
    serving = Serving(Counter(), batch_size=4)
    parts = list(serving.ask(*questions("a", "b", "c")))
    assert parts == [[(2, "c")], [(1, "b")], [(0, "a")]]
    assert answers(serving, "again") == ["again"]


class Falls:
    """Fails when it is asked to."""

    name = "falls"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        if any(dialog[0]["content"] == "fall" for dialog in dialogs):
            raise UsageError("it fell")
        return ["stands"] * len(dialogs)


def test_whoever_waits_hears_why_there_is_no_answer_and_the_next_is_served() -> None:
    serving = Serving(Falls(), batch_size=4)
    for _ in range(2):
        with pytest.raises(UsageError, match="it fell"):
            answers(serving, "fall")
        assert answers(serving, "a", "b") == ["stands", "stands"]


def test_nothing_asked_is_nothing_answered() -> None:
    assert list(Serving(Echo(), batch_size=4).ask([], [])) == []


class Leaves(Counter):
    """Ends its process, or so it thinks."""

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        take(True)
        raise SystemExit(3)
        yield


class GivesUp(Counter):
    """Answers one and takes that for the end."""

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        ticket, dialog, _ = take(True)[0]
        yield [(ticket, dialog[0]["content"])]


class SaysNothing(Counter):
    """Answers with what is no text."""

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        yield [(ticket, None) for ticket, _, _ in take(True)]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("agent", "error", "message"),
    [
        (Leaves(), AgentError, r"agent 'counter' ended with SystemExit\(3\)"),
        (GivesUp(), AgentError, "agent 'counter' ended without answering all"),
        (SaysNothing(), UsageError, "agent 'counter' answered None"),
    ],
)
def test_an_agent_that_does_not_answer_leaves_nobody_waiting(
    agent: Any, error: type[Exception], message: str
) -> None:
    serving = Serving(agent, batch_size=4)
    for _ in range(2):
        with pytest.raises(error, match=message):
            answers(serving, "a", "b")


def test_an_attribute_of_that_name_makes_no_stream() -> None:
    echo = Echo()
    echo.stream = True  # type: ignore[attr-defined]
    assert answers(Serving(echo, batch_size=4), "a") == ["a"]
