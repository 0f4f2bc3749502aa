"""A few workers, lent to whoever needs one.

Not covered: what is done with a worker.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from novicegym.errors import GraderError
from novicegym.grading.limits import Limits
from novicegym.grading.worker import Worker


class Pool:
    """At most `size` workers, started when first needed. Thread-safe."""

    def __init__(self, size: int, limits: Limits) -> None:
        self._size = size
        self._limits = limits
        self._changed = threading.Condition()
        self._idle: list[Worker] = []
        self._started = 0
        self._pid = os.getpid()
        self.closed = False
        self.isolation: tuple[str, ...] | None = None
        """The layers the last worker started reported; None before the first."""

    @contextlib.contextmanager
    def lend(self) -> Iterator[Worker]:
        """Lend a worker, waiting for one if all are out. One that comes back broken is ended.

        Raises GraderError when the pool is closed or a worker cannot be started.
        """
        worker = self._take()
        try:
            if worker is None:
                worker = Worker(self._limits)
                self.isolation = worker.isolation
            yield worker
        finally:
            with self._changed:
                keep = worker is not None and worker.healthy and not self.closed
                if keep and worker is not None:
                    self._idle.append(worker)
                else:
                    self._started -= 1
                self._changed.notify()
            if worker is not None and not keep:
                worker.kill()

    def _take(self) -> Worker | None:
        with self._changed:
            while not self.closed and not self._idle and self._started >= self._size:
                self._changed.wait()
            if self.closed:
                raise GraderError("the Grader is closed; make a new one")
            if self._idle:
                return self._idle.pop()
            self._started += 1
            return None

    def close(self) -> None:
        """End the idle workers now, and each other one when it comes back."""
        with self._changed:
            self.closed = True
            idle, self._idle = self._idle, []
            self._started -= len(idle)
            self._changed.notify_all()
        for worker in idle:
            if os.getpid() == self._pid:
                worker.kill()
            else:  # in a fork of the process they belong to
                worker.forget()
