"""The supervisor's side of one zygote: start it, run submissions in it, end it.

Covered: Linux. Not covered: what the replies mean (judge.py), who uses which worker when (pool.py),
systems without zygotes (fresh.py).
"""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from novicegym.errors import GraderError
from novicegym.grading.conversation import Answer, framed, read_reply, reply_room
from novicegym.grading.limits import Limits
from novicegym.grading.pool import WorkerDiedError
from novicegym.grading.runner import Run
from novicegym.grading.work_folder import WORK_PREFIX, remove_folder

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "LD_BIND_NOW": "1",
}
"""All that a program finds in its environment."""
_FOLDER = Path(__file__).parent
_SANDBOXED = (
    *("zygote", "lockdown", "seccomp", "folder"),
    *("python/child", "python/encoder", "python/tracebacks", "python/cs110"),
)
"""The files that run in a zygote and in its children."""
BOOT = """# a zygote of novicegym.grading
import marshal, sys
SOURCES = marshal.loads(sys.stdin.buffer.read())
exec(SOURCES["zygote"])
"""
_START_SECONDS = 30.0
_END_SECONDS = 2.0
_PROGRESS = 0.005
"""Past its wall limit a child goes on while it gets this share of a core: see zygote.py."""
_GRACE_SECONDS = 30.0
"""A zygote that is silent for this long after the last limit is taken for dead."""
_QUICK_MS = 30
_CANNOT_READ = "cannot be read inside the sandbox"


class ZygoteWorker:
    """One zygote process."""

    def __init__(
        self, limits: Limits, layers: frozenset[str], command: tuple[str, ...] = ()
    ) -> None:
        """Start a zygote with those of `layers` that the system allows.

        `command` starts the interpreter of another language. Raises GraderError.
        """
        self._reply_room = reply_room(limits)
        self.layers: tuple[str, ...] = ()
        self.healthy = True
        try:
            self._start(limits, layers, command)
        except GraderError as error:
            # A library under a private home folder cannot be read by another uid, unless the
            # zygote has its own file tree. Then keep the uid and do without that layer.
            if _CANNOT_READ not in str(error) or "uid" not in layers:
                raise
            self._start(limits, layers - {"uid"}, command)

    def _start(self, limits: Limits, layers: frozenset[str], command: tuple[str, ...]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._work = tempfile.mkdtemp(prefix=WORK_PREFIX)
        zygote = [sys.executable, "-S", "-s", "-P", "-B", "-W", "ignore", "-c", BOOT]
        fd = theirs.fileno()
        budget = [str(limits.memory_mb), str(limits.processes)]
        settings = [str(fd), *budget, self._work, ",".join(sorted(layers)), str(_PROGRESS)]
        # Where the interpreter's own library may lie; the zygote takes it out again.
        libraries = {"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
        self._control = ours
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*zygote, *settings, *command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=ENVIRONMENT | libraries,
                    cwd="/",
                    pass_fds=(fd,),
                    start_new_session=True,
                )
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError), self._process.stdin as sources:
                sources.write(_compiled())
            self._process.stdin = None  # closed: `communicate` is not to flush it
            ours.settimeout(_START_SECONDS)
            hello = ours.recv(4096).decode()
            ours.settimeout(None)
        except (OSError, ValueError) as error:
            self.kill()
            raise GraderError(f"the grading process cannot start: {error}") from None
        if not hello.startswith("ready"):
            self._process.kill()
            _, stderr = self._process.communicate()
            self.kill()
            reason = hello.removeprefix("error ") or stderr.decode(errors="replace")[-400:].strip()
            raise GraderError(f"the grading process cannot start: {reason}")
        if self._process.stderr is not None:
            self._process.stderr.close()
        self.layers = tuple(hello.split()[1:])
        if "mount" in self.layers:  # it has a folder of its own that dies with it
            os.rmdir(self._work)
        self._report_ready = select.poll()
        self._report_ready.register(ours, select.POLLIN)

    def run(
        self,
        request: bytes,
        cpu_seconds: float,
        wall_seconds: float,
        answer: Answer | None = None,
    ) -> Run:
        """Run one request in a child of the zygote. Raises WorkerDiedError.

        `answer` replies to the lines the child writes, one by one, until the child ends.
        """
        self.healthy = False  # until this run has come to its end
        ours, theirs = socket.socketpair()
        with ours:
            try:
                with theirs:
                    limits = f"{cpu_seconds} {wall_seconds}".encode()
                    socket.send_fds(self._control, [limits], [theirs.fileno()])
                # A child that ended before it read its request is no dead zygote.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    ours.sendall(framed(request))
                # Mostly the report comes within milliseconds and the reply, a line a case, fits in
                # the socket: waiting for the report alone saves a wake-up for every line.
                if answer is None:
                    self._report_ready.poll(_QUICK_MS)
                patience = 10 * wall_seconds + _GRACE_SECONDS
                receive = self._receiver(ours, patience)
                reply, overflow = read_reply(receive, self._reply_room, answer, ours.sendall)
                if overflow:  # let it fail, not wait
                    ours.shutdown(socket.SHUT_RDWR)
                if not self._report_ready.poll(1000 * patience):
                    raise WorkerDiedError("no report")
                report = self._control.recv(4096).split()
            except OSError as error:
                raise WorkerDiedError(str(error)) from None
        if len(report) != 3:
            raise WorkerDiedError("no report")
        end = report[0].decode()
        assert end in ("exit", "cpu", "wall")
        self.healthy = True
        return Run(reply, end, int(report[1]), float(report[2]), overflow)  # type: ignore[arg-type]

    def _receiver(self, ours: socket.socket, patience: float) -> Callable[[int], bytes]:
        """Return a function that receives from the child until it ends, or the zygote reports.

        What a child left behind may hold the socket open where no layer forbids it.
        """
        ready = select.poll()
        ready.register(ours, select.POLLIN)
        ready.register(self._control, select.POLLIN)

        def receive(size: int) -> bytes:
            found = [fd for fd, _ in ready.poll(1000 * patience)]
            if not found:
                raise TimeoutError("no reply")
            return ours.recv(size) if ours.fileno() in found else b""

        return receive

    @property
    def alive(self) -> bool:
        """Whether the zygote still runs."""
        return self._process.poll() is None

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
        with contextlib.suppress(OSError):
            remove_folder(self._work)

    def forget(self) -> None:
        """Let go of the zygote without ending it: for a forked copy of the process."""
        self._process.returncode = 0  # not this process's child: nothing to warn about or wait for
        self._control.close()


@functools.cache
def _compiled() -> bytes:
    """Return the files that run in a zygote, compiled once a process, without docstrings."""
    sources = {
        name: compile((_FOLDER / f"{name}.py").read_bytes(), f"{name}.py", "exec", 0, True, 2)
        for name in _SANDBOXED
    }
    return marshal.dumps(sources)
