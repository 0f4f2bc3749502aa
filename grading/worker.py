"""The supervisor's side of one zygote: start it, run submissions in it, end it.

Not covered: what the replies mean (judge.py), and who uses which worker when (grader.py).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from novicegym.errors import GraderError
from novicegym.grading.limits import Limits

WORK_PREFIX = "novicegym-"
"""Of the temporary folder a zygote works in where it has no file tree of its own."""
_ZYGOTE = Path(__file__).with_name("zygote.py")
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "LD_BIND_NOW": "1",
}
TRIES = 2
"""How often a request is run when its zygote dies; after that the submission is to blame."""
_START_SECONDS = 30.0
_END_SECONDS = 2.0
_GRACE_SECONDS = 5.0
"""A zygote that has not reported this long after the wall limit is taken for dead."""
_KEEP_UID_HINT = "cannot be read inside the sandbox"


class ZygoteDiedError(Exception):
    """The zygote ended, or stopped answering, while a submission ran in it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of one child."""

    reply: bytes
    end: Literal["exit", "cpu", "wall"]
    """"cpu" and "wall": killed at that limit, whatever it had replied before."""
    status: int
    """As `os.wait` gives it."""
    cpu_seconds: float
    overflow: bool
    """Whether the child sent more than its reply may hold; the reply is then cut."""


class Worker:
    """One zygote process. Used by one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        """Raises GraderError when the zygote cannot start."""
        self._limits = limits
        self.isolation: tuple[str, ...] = ()
        """The layers in force, as the zygote named them."""
        self.healthy = True
        """False once the zygote died or its conversation broke off: it must not be used again."""
        try:
            self._start("drop-uid")
        except GraderError as error:
            # A library under a private home folder cannot be read by another uid, unless the
            # zygote has its own file tree. Then keep the uid and do without that layer.
            if _KEEP_UID_HINT not in str(error):
                raise
            self._start("keep-uid")

    def _start(self, uid: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._work = tempfile.mkdtemp(prefix=WORK_PREFIX)
        command = [sys.executable, "-S", "-s", "-P", "-B", "-W", "ignore", str(_ZYGOTE)]
        fd = theirs.fileno()
        # Where the interpreter's own library may lie; the zygote takes it out again.
        libraries = {"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
        self._control = ours
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*command, str(fd), str(self._limits.memory_mb), uid, self._work],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=_ENVIRONMENT | libraries,
                    cwd="/",
                    pass_fds=(fd,),
                    start_new_session=True,
                )
            ours.settimeout(_START_SECONDS)
            hello = ours.recv(4096).decode()
        except (OSError, ValueError) as error:
            self.kill()
            raise GraderError(f"the grading process cannot start: {error}") from None
        if not hello.startswith("ready "):
            self._process.kill()
            _, stderr = self._process.communicate()
            self.kill()
            reason = hello.removeprefix("error ") or stderr.decode(errors="replace")[-400:].strip()
            raise GraderError(f"the grading process cannot start: {reason}")
        if self._process.stderr is not None:
            self._process.stderr.close()
        self.isolation = tuple(hello.split()[1:])
        if "mount" in self.isolation:  # it has a folder of its own that dies with it
            os.rmdir(self._work)

    def run(
        self,
        request: bytes,
        *,
        cpu_seconds: float | None = None,
        wall_seconds: float | None = None,
        answer: Callable[[bytes], bytes] | None = None,
    ) -> Run:
        """Run one request in a child of the zygote. Raises ZygoteDiedError.

        `answer` replies to the lines the child writes, one by one, until the child ends.
        """
        self.healthy = False  # until this run has come to its end
        cpu = self._limits.cpu_seconds if cpu_seconds is None else cpu_seconds
        wall = self._limits.wall_seconds if wall_seconds is None else wall_seconds
        ours, theirs = socket.socketpair()
        with ours:
            try:
                with theirs:
                    socket.send_fds(self._control, [f"{cpu} {wall}".encode()], [theirs.fileno()])
                ours.settimeout(wall + _GRACE_SECONDS)
                reply, overflow = self._converse(ours, request, answer)
            except TimeoutError:
                raise ZygoteDiedError("no reply") from None
            except OSError as error:
                raise ZygoteDiedError(str(error)) from None
        try:
            self._control.settimeout(wall + _GRACE_SECONDS)
            report = self._control.recv(4096).split()
        except OSError as error:
            raise ZygoteDiedError(str(error)) from None
        if len(report) != 3:
            raise ZygoteDiedError("no report")
        end = report[0].decode()
        assert end in ("exit", "cpu", "wall")
        self.healthy = True
        return Run(reply, end, int(report[1]), float(report[2]), overflow)  # type: ignore[arg-type]

    def _converse(
        self, ours: socket.socket, request: bytes, answer: Callable[[bytes], bytes] | None
    ) -> tuple[bytes, bool]:
        # A child killed while it reads its request, or that closed its socket, is no dead zygote.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            ours.sendall(len(request).to_bytes(4, "big") + request)
        parts: list[bytes] = []
        # Escapes make the text up to 6 times as long as what it says, for answers and output each.
        room = 6 * (self._limits.reply_bytes + self._limits.output_bytes) + 65_536
        while True:
            try:
                part = ours.recv(65_536)
            except ConnectionResetError:
                part = b""
            if not part:
                return b"".join(parts), False
            room -= len(part)
            if room < 0:
                return b"".join(parts), True
            parts.append(part)
            if answer is not None and part.endswith(b"\n"):
                said = answer(b"".join(parts))
                if said:
                    parts.clear()
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        ours.sendall(len(said).to_bytes(4, "big") + said)

    def kill(self) -> None:
        """End the zygote and all it started; safe to call twice."""
        self._control.close()  # which it takes as the order to end
        process = getattr(self, "_process", None)
        if process is not None:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stderr is not None:
                process.stderr.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def forget(self) -> None:
        """Let go of the zygote without ending it: for a forked copy of the process."""
        self._process.returncode = 0  # not this process's child: nothing to warn about or wait for
        self._control.close()
