"""A worker that starts a fresh process for every submission: not a sandbox.

For systems without zygotes (macOS, Windows). The process gets an empty temporary folder and an
environment of its own, and where the system has them limits on memory, files and CPU time; beyond
that it can read, write and connect as its user can. Its tests run it on Linux; it was never run on
the systems that it is for.
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
from pathlib import Path
from typing import Literal

from novicegym.grading.conversation import Answer, framed, read_reply, reply_room
from novicegym.grading.limits import Limits
from novicegym.grading.pool import WorkerDiedError
from novicegym.grading.runner import Run
from novicegym.grading.worker import ENVIRONMENT, WORK_PREFIX

_CHILD = Path(__file__).with_name("fresh_child.py")
_NEEDED_ON_WINDOWS = ("SYSTEMROOT", "SYSTEMDRIVE", "TEMP", "TMP")
_CPU_SIGNALS = [getattr(signal, name, -1) for name in ("SIGPROF", "SIGXCPU")]
_PAUSE_SECONDS = 0.02


class FreshWorker:
    """Starts one process a request."""

    def __init__(self, limits: Limits, command: tuple[str, ...] = ()) -> None:
        """`command` starts the interpreter of another language than Python."""
        self.layers: tuple[str, ...] = ()
        self.healthy = True
        self._room = reply_room(limits)
        self._memory_mb = limits.memory_mb
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def run(
        self,
        request: bytes,
        cpu_seconds: float,
        wall_seconds: float,
        answer: Answer | None = None,
    ) -> Run:
        """Run one request. Raises WorkerDiedError when its process cannot be started."""
        python = [sys.executable, "-S", "-s", "-P", "-B", "-W", "ignore", str(_CHILD)]
        command = [*self._command, "0", "1"] if self._command else python
        limits = [] if self._command else [str(cpu_seconds), str(self._memory_mb)]
        kept = {name: os.environ[name] for name in _NEEDED_ON_WINDOWS if name in os.environ}
        with tempfile.TemporaryDirectory(prefix=WORK_PREFIX, ignore_cleanup_errors=True) as work:
            try:
                self._process = process = subprocess.Popen(
                    [*command, *limits],
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
            late = threading.Event()

            def stop() -> None:
                late.set()
                self.kill()

            timer = threading.Timer(wall_seconds, stop)
            timer.start()
            try:
                reply, overflow = self._converse(process, request, answer)
                if overflow:
                    self.kill()
                ended = _wait(process)
                self.kill()  # what it left behind
            finally:
                timer.cancel()
                timer.join()
        status, used = ended
        out_of_cpu = status & 0x7F in _CPU_SIGNALS or used > cpu_seconds
        end: Literal["wall", "cpu", "exit"] = "cpu" if out_of_cpu else "exit"
        return Run(reply, "wall" if late.is_set() else end, status, used, overflow)

    def _converse(
        self, process: subprocess.Popen[bytes], request: bytes, answer: Answer | None
    ) -> tuple[bytes, bool]:
        assert process.stdin is not None
        assert process.stdout is not None
        fd = process.stdout.fileno()

        def receive(size: int) -> bytes:
            # Where a program of the program's own holds the pipe open, its end never shows.
            while os.name == "posix" and not select.select([fd], [], [], _PAUSE_SECONDS)[0]:
                if process.poll() is not None:
                    return b""
            return os.read(fd, size)

        with process.stdin, process.stdout:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(framed(request))
            return read_reply(receive, self._room, answer, process.stdin.write)

    def kill(self) -> None:
        """End the process, and where the system has groups of processes, its group."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                if os.name == "posix":
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()

    def forget(self) -> None:
        """Nothing is kept from one request to the next."""


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Return the status of the process, as `os.wait` gives it, and its seconds of CPU time."""
    if os.name == "posix" and process.returncode is None:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return status, usage.ru_utime + usage.ru_stime
    code = process.wait()
    return (code << 8 if code >= 0 else -code), 0.0
