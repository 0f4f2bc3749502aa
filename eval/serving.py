"""One agent asked by many at once: whatever waits goes into its next batch.

An asker gets each completion as soon as it is there, and need not wait for the others he asked
for. An agent that takes dialogs in while it generates (`StreamingAgent`) is never left with a
batch half empty: a turn that has ended gives its place to the next one waiting.

Covered: threads of one process. Not covered: processes, which is `novicegym.eval.distributed`.
"""

from __future__ import annotations

import queue
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

from novicegym.agents.base import Agent, Asked, StreamingAgent
from novicegym.dialogs.serialize import Dialog
from novicegym.errors import AgentError, UsageError
from novicegym.eval.episodes import act

Answers: TypeAlias = list[tuple[int, str]]
"""Completions with their tickets, or with their places in what was asked."""


class Serving:
    """Serves one agent to many threads."""

    def __init__(self, agent: Agent, batch_size: int) -> None:
        """batch_size: most dialogs given at once to an agent that takes none in meanwhile."""
        self._agent, self._batch_size = agent, batch_size
        self._waiting: queue.SimpleQueue[list[Asked]] = queue.SimpleQueue()
        self._askers: dict[int, tuple[queue.SimpleQueue[Answers | Exception], int]] = {}
        """By ticket: where the answer goes, and its place there."""
        self._tickets = count()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def ask(
        self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]
    ) -> Iterator[Answers]:
        """Yield (place, completion) of the dialogs as they are answered, those there together.

        Raises what the agent raised.
        """
        inbox: queue.SimpleQueue[Answers | Exception] = queue.SimpleQueue()
        asked: list[Asked] = []
        with self._lock:
            for place, (dialog, info) in enumerate(zip(dialogs, infos, strict=True)):
                ticket = next(self._tickets)
                self._askers[ticket] = inbox, place
                asked.append((ticket, dialog, info))
            if asked:  # an agent would take nothing for the end
                self._waiting.put(asked)
        missing = len(asked)
        while missing:
            answers = inbox.get()
            if isinstance(answers, Exception):
                raise answers
            missing -= len(answers)
            yield answers

    def _serve(self) -> None:
        while True:
            try:
                for answers in self._stream():
                    self._deliver(answers)
                self._fail(AgentError(f"agent {self._agent.name!r} ended without answering all"))
            except Exception as error:
                self._fail(error)
            except BaseException as error:  # a library that exits would end this thread alone
                self._fail(AgentError(f"agent {self._agent.name!r} ended with {error!r}"))

    def _fail(self, error: Exception) -> None:
        """Let whoever waits hear of it."""
        with self._lock:
            inboxes = {id(inbox): inbox for inbox, _ in self._askers.values()}
            self._askers.clear()
            self._waiting = queue.SimpleQueue()
        for inbox in inboxes.values():
            inbox.put(error)

    def _stream(self) -> Iterator[Answers]:
        if isinstance(self._agent, StreamingAgent) and callable(self._agent.stream):
            return self._agent.stream(self._take)
        return self._in_batches()

    def _in_batches(self) -> Iterator[Answers]:
        waiting: deque[Asked] = deque()
        while True:
            waiting.extend(self._take(not waiting))
            batch = [waiting.popleft() for _ in range(min(self._batch_size, len(waiting)))]
            tickets, dialogs, infos = zip(*batch, strict=True)
            yield list(zip(tickets, act(self._agent, dialogs, infos), strict=True))

    def _take(self, wait: bool) -> list[Asked]:
        """Return what was asked since; if `wait`, not before there is something."""
        taken = self._waiting.get() if wait else []
        while not self._waiting.empty():
            taken += self._waiting.get()
        return taken

    def _deliver(self, answers: Answers) -> None:
        parts: dict[int, Answers] = defaultdict(list)
        inboxes = {}
        with self._lock:
            for ticket, completion in answers:
                if not isinstance(completion, str):
                    raise UsageError(f"agent {self._agent.name!r} answered {completion!r:.80}")
                inbox, place = self._askers.pop(ticket)
                inboxes[id(inbox)] = inbox
                parts[id(inbox)].append((place, completion))
        for key, part in parts.items():
            inboxes[key].put(part)
