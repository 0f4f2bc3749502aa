"""A few workers, lent to one thread at a time, and what is done when one of them dies.

Not covered: how a worker runs a request (worker.py, fresh.py).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from novicegym.errors import GraderError
from novicegym.grading.conversation import Answer
from novicegym.grading.limits import Limits
from novicegym.grading.rungs import Rung, refuse_below
from novicegym.grading.runner import Run

TRIES = 2
"""How often a request is run when its worker dies; after that the submission is to blame."""


class WorkerDiedError(Exception):
    """The worker's process ended, or stopped answering, while a submission ran in it."""


class Worker(Protocol):
    """A process that runs requests, used by one thread at a time."""

    layers: tuple[str, ...]
    """The layers of isolation in force."""
    healthy: bool
    """False once its conversation broke off: it must not be used again."""

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""

    def run(
        self,
        request: bytes,
        cpu_seconds: float,
        wall_seconds: float,
        answer: Answer | None = None,
    ) -> Run:
        """Run one request in a child. Raises WorkerDiedError.

        `answer` replies to the lines the child writes, one by one, until the child ends.
        """

    def kill(self) -> None:
        """End the process and all it started; safe to call twice."""

    def forget(self) -> None:
        """Let go of the process without ending it: for a forked copy of the caller."""


class Pool:
    """At most `size` workers, started when first needed. Thread-safe."""

    def __init__(
        self,
        size: int,
        start: Callable[[], Worker],
        limits: Limits,
        *,
        require: Rung,
        harmless: bytes,
    ) -> None:
        """`harmless` is a request that any working worker carries out."""
        self._size = size
        self._start = start
        self._limits = limits
        self._require = require
        self._harmless = harmless
        self._changed = threading.Condition()
        self._idle: list[Worker] = []
        self._started = 0
        self._pid = os.getpid()
        self._closed = False
        self._layers: tuple[str, ...] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers in force in the worker started last; starts one if none was."""
        if self._layers is None:
            with self.lend():
                pass
        return self._layers or ()

    def run(self, request: bytes, cpu_seconds: float) -> Run | None:
        """Run a request; None when it ended its worker every time. Raises GraderError."""
        for number in range(TRIES):
            # The last word has a fresh worker: one that waited may have been ended by others.
            with self.lend(fresh=number > 0) as worker, contextlib.suppress(WorkerDiedError):
                return worker.run(request, cpu_seconds, self._limits.wall_seconds)
        # Whose fault is it? Where a harmless program ends the worker too, it is not this one's.
        try:
            with self.lend(fresh=True) as worker:
                worker.run(self._harmless, cpu_seconds, self._limits.wall_seconds)
        except WorkerDiedError as error:
            raise GraderError(f"the grading process cannot run any program: {error}") from None
        return None

    @contextlib.contextmanager
    def lend(self, *, fresh: bool = False) -> Iterator[Worker]:
        """Lend a worker, waiting for one if all are out. One that comes back broken is ended.

        `fresh`: one that has run nothing before.

        Raises GraderError when the pool is closed, a worker cannot be started, or its isolation
        is below the required rung.
        """
        worker = self._take(fresh)
        try:
            if worker is None:
                worker = self._start()
                self._layers = worker.layers
                try:
                    refuse_below(self._require, worker.layers)
                except GraderError:
                    worker.healthy = False
                    raise
            yield worker
        finally:
            with self._changed:
                keep = worker is not None and worker.healthy and not self._closed
                if keep and worker is not None:
                    self._idle.append(worker)
                else:
                    self._started -= 1
                self._changed.notify()
            if worker is not None and not keep:
                worker.kill()

    def _take(self, fresh: bool) -> Worker | None:
        """Return an idle worker, or None with leave to start one."""
        dropped: list[Worker] = []
        try:
            with self._changed:
                while not self._closed and not self._idle and self._started >= self._size:
                    self._changed.wait()
                if self._closed:
                    raise GraderError("the Grader is closed; make a new one")
                while self._idle:
                    worker = self._idle.pop()
                    if worker.alive and not fresh:
                        return worker
                    self._started -= 1
                    dropped.append(worker)
                    if fresh:
                        break
                self._started += 1
                return None
        finally:
            for worker in dropped:
                worker.kill()

    def close(self) -> None:
        """End the idle workers now, and each other one when it comes back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._started -= len(idle)
            self._changed.notify_all()
        for worker in idle:
            if os.getpid() == self._pid:
                worker.kill()
            else:  # in a fork of the process they belong to
                worker.forget()
