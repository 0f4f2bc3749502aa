"""A worker that starts a fresh process for every submission: not a sandbox.

For systems without zygotes (macOS, Windows). The process gets an empty temporary folder and an
environment of its own, and where the system has them limits on memory, files and CPU time; beyond
that it can read, write and connect as its user can. Its tests run it on Linux; it was never run on
the systems that it is for.

Not covered: a process that the program starts in a session of its own is left behind, and so is
the program itself when the caller is killed; on Windows, any process that it starts. There nothing
measures CPU time, and a program that goes on computing is stopped at the wall limit.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from novicegym.grading.conversation import Answer, framed, read_reply, reply_room
from novicegym.grading.limits import Limits
from novicegym.grading.pool import WorkerDiedError
from novicegym.grading.runner import Run
from novicegym.grading.work_folder import WORK_PREFIX, remove_folder
from novicegym.grading.worker import ENVIRONMENT

_POSIX = os.name == "posix"
_CHILD = Path(__file__).with_name("fresh_child.py")
_NEEDED_ON_WINDOWS = ("SYSTEMROOT", "SYSTEMDRIVE", "TEMP", "TMP")
_CPU_SIGNALS = [getattr(signal, name, -1) for name in ("SIGPROF", "SIGXCPU")]
_PAUSE_MS = 20
_REMOVALS = 5


class FreshWorker:
    """Starts one process a request."""

    def __init__(self, limits: Limits, command: tuple[str, ...] = ()) -> None:
        """`command` starts the interpreter of another language than Python."""
        self.layers: tuple[str, ...] = ()
        self.healthy = True
        self._room = reply_room(limits)
        self._memory_mb = limits.memory_mb
        self._command = command

    def run(
        self,
        request: bytes,
        cpu_seconds: float,
        wall_seconds: float,
        answer: Answer | None = None,
    ) -> Run:
        """Run one request. Raises WorkerDiedError when its process cannot be started."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            child.kill()

        with _work_folder() as work:
            child = _Child(self._command_line(cpu_seconds), work)
            timer = threading.Timer(wall_seconds, stop)
            timer.start()
            try:
                reply, overflow = child.converse(request, self._room, answer, late)
                if overflow:
                    child.kill()
                status, used = child.wait()
            finally:  # also when the caller is interrupted
                timer.cancel()
                timer.join()
                child.kill()
                child.wait()
        out_of_cpu = status & 0x7F in _CPU_SIGNALS or used > cpu_seconds
        end: Literal["wall", "cpu", "exit"] = "cpu" if out_of_cpu else "exit"
        return Run(reply, "wall" if late.is_set() else end, status, used, overflow)

    def _command_line(self, cpu_seconds: float) -> list[str]:
        if self._command and not _POSIX:  # no limits to set, and exec would be another process
            return [*self._command, "0", "1"]
        python = [sys.executable, "-S", "-s", "-P", "-B", "-W", "ignore", str(_CHILD)]
        return [*python, str(cpu_seconds), str(self._memory_mb), *self._command]

    @property
    def alive(self) -> bool:
        """There is nothing that could have ended."""
        return True

    def kill(self) -> None:
        """Nothing runs between two requests."""

    def forget(self) -> None:
        """Nothing is kept from one request to the next."""


class _Child:
    """One process, and on POSIX systems its group."""

    def __init__(self, command: list[str], work: str) -> None:
        kept = {name: os.environ[name] for name in _NEEDED_ON_WINDOWS if name in os.environ}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT | kept,
                cwd=work,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerDiedError(str(error)) from None
        self._ended: tuple[int, float] | None = None

    def converse(
        self, request: bytes, room: int, answer: Answer | None, late: threading.Event
    ) -> tuple[bytes, bool]:
        """Send the request; return the reply, and whether there was more than its room."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._process.stdin as stdin, self._process.stdout as stdout:
            fd = stdout.fileno()

            def send(message: bytes) -> None:
                rest = memoryview(message)
                while rest:
                    rest = rest[os.write(stdin.fileno(), rest) :]

            def receive(size: int) -> bytes:
                if _POSIX and not self._has_more(fd, late):
                    return b""
                return os.read(fd, size)

            with contextlib.suppress(OSError):  # it ended before it had read all
                send(framed(request))
            return read_reply(receive, room, answer, send)

    def _has_more(self, fd: int, late: threading.Event) -> bool:
        """Wait for the child's next words. What it started may hold the pipe open without end."""
        readable = select.poll()
        readable.register(fd, select.POLLIN)
        while True:
            over = self._look()
            if over and late.is_set():
                return False
            if readable.poll(0 if over else _PAUSE_MS):
                return True
            if over:
                return False

    def _look(self, *, until_it_ends: bool = False) -> bool:
        """Return whether it ended; keep how, and end what it left behind."""
        if self._ended is None:
            pid, status, usage = os.wait4(self._process.pid, 0 if until_it_ends else os.WNOHANG)
            if pid:
                self.kill()
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._ended = status, usage.ru_utime + usage.ru_stime
        return self._ended is not None

    def wait(self) -> tuple[int, float]:
        """Return its status, as `os.wait` gives it, and its seconds of CPU time."""
        if not _POSIX:
            code = self._process.wait()
            return (code << 8 if code >= 0 else -code), 0.0
        self._look(until_it_ends=True)
        assert self._ended is not None
        return self._ended

    def kill(self) -> None:
        """End it, and where the system has groups of processes, its group."""
        with contextlib.suppress(OSError):
            if not _POSIX:
                self._process.kill()
            elif self._ended is None:  # later its number may be another's
                os.killpg(self._process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _work_folder() -> Iterator[str]:
    """An empty folder, removed afterwards."""
    folder = tempfile.mkdtemp(prefix=WORK_PREFIX)
    try:
        yield folder
    finally:
        # A process that was just killed may still hold a file, or make one.
        for _ in range(_REMOVALS):
            with contextlib.suppress(OSError):
                remove_folder(folder)
                break
            time.sleep(_PAUSE_MS / 1000)
