"""Calls of a client that is asynchronous, from code that is not: many at once, as they end.

    with Calls(make_client, ask, at_once=16) as calls:
        calls.begin("a question")
        for question, call in calls.ended(0.1):
            print(question, call.result())

They run on an event loop in a thread of its own, which begins with the first call: that works in
a notebook, too, whose thread runs a loop already. Leaving the `with` cancels what is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Question = TypeVar("Question")
Reply = TypeVar("Reply")


class Calls(Generic[Question, Reply]):
    """Calls under way."""

    def __init__(
        self,
        make_client: Callable[[], Any],
        ask: Callable[[Any, Question], Awaitable[Reply]],
        at_once: int,
    ) -> None:
        """make_client: an asynchronous context manager. ask: called with what it enters as."""
        self._make_client, self._ask = make_client, ask
        self._places = asyncio.Semaphore(at_once)
        self._ended: SimpleQueue[tuple[Question, Future[Reply]]] = SimpleQueue()
        self._under_way: set[Future[Reply]] = set()
        self._opened = ExitStack()
        self._portal: Any = None
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def begin(self, question: Question) -> None:
        """Ask as soon as there is a place; the first to begin is the first to be asked."""
        if self._portal is None:
            from anyio.from_thread import start_blocking_portal

            self._portal = self._opened.enter_context(start_blocking_portal())
            self._client = self._opened.enter_context(
                self._portal.wrap_async_context_manager(self._make_client())
            )
            # First of all, or the client would close under those that use it.
            self._opened.callback(self._cancel)
        call = self._portal.start_task_soon(self._asked, question)
        self._under_way.add(call)
        call.add_done_callback(lambda ended: self._ended.put((question, ended)))

    def ended(self, seconds: float) -> list[tuple[Question, Future[Reply]]]:
        """Return the calls that have ended since, waiting so long for one if there is none."""
        found = []
        try:
            found.append(self._ended.get(timeout=seconds))
            while True:
                found.append(self._ended.get_nowait())
        except Empty:
            pass
        self._under_way.difference_update(call for _, call in found)
        return found

    @property
    def under_way(self) -> bool:
        """Whether there are calls that `ended` has not returned."""
        return bool(self._under_way)

    async def _asked(self, question: Question) -> Reply:
        async with self._places:
            return await self._ask(self._client, question)

    def _cancel(self) -> None:
        for call in self._under_way:
            call.cancel()
