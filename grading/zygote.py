"""A zygote: a lean, warmed-up, locked-down interpreter that forks one child a submission.

Started by exec (`python -S -s -P -B`) with a socket to its supervisor, which also compiles what
runs here: parsing it would leave a megabyte of used memory behind, and every page of that makes
each fork and each end of a child dearer. For each submission the supervisor passes one more
socket; the zygote forks, and only the child reads from it, so no submission ever lies in the
memory that the next child inherits. The zygote then watches the child's CPU clock, kills
everything that is left when the child ends, and reports how it ended. It ends itself when its
supervisor does.

A zygote for another language is given the command of its interpreter: its children start that,
with the number of their socket as last two arguments, in place of running child.py.

Not covered: what runs in the child (child.py), the layers of isolation (lockdown.py).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal is slow to import
import gc
import posix
import select
import sys
import time
from _socket import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType

    SOURCES: dict[str, CodeType] = {}
    """The compiled files that run here, by name; worker.py sends them."""

_DESCRIPTOR_BYTES = 4
_MSG_DONTWAIT = 0x40
SIGKILL = 9
_CHILD_ENDED = {_signal.SIGCHLD}
_EXTENSION_SECONDS, _MOST_EXTENSION = 1.0, 10
_WARM_UPS = 20


def _load(name: str, **names: object) -> ModuleType:
    """Make a module of a compiled file, over a private copy of the builtins."""
    module = type(sys)(name.rpartition("/")[2])
    module.__dict__.update(names)
    module.__dict__["__builtins__"] = dict(sys.modules["builtins"].__dict__)
    exec(SOURCES[name], module.__dict__)
    return module


def main() -> None:
    """Lock down, warm up, report the layers in force, then serve until the supervisor ends."""
    descriptor, memory_mb, processes = map(int, sys.argv[1:4])
    work, wanted, progress = sys.argv[4], frozenset(sys.argv[5].split(",")), float(sys.argv[6])
    command = sys.argv[7:]
    # Read by now; programs see the same environment everywhere.
    posix.environ.pop(b"LD_LIBRARY_PATH", None)
    posix.unsetenv(b"LD_LIBRARY_PATH")
    sys.argv = sys.orig_argv = [""]  # a program reads no paths of this machine there
    sys.executable = ""
    # As process 1 of its namespace it gets no signal from a child, but for those it handles.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    supervisor = posix.pidfd_open(posix.getppid())
    seccomp = _load("seccomp")
    lockdown = _load("lockdown", seccomp=seccomp)
    folder = _load("folder")
    if command:
        serve_child = _starter(command)
    else:
        parts = {name: _load(f"python/{name}") for name in ("encoder", "tracebacks")}
        child = _load("python/child", **parts, folder=folder, autograder=_load("python/cs110"))
        serve_child = child.serve
    layers = lockdown.lock_down(wanted, memory_mb, processes, work, tuple(command[:1]))
    control = socket(fileno=descriptor)
    problem = _test_start(command) if command else _test_library()
    if not problem and not command:
        _warm_up(child)
    control.send((f"error {problem}" if problem else "ready " + " ".join(layers)).encode())
    if problem:
        posix._exit(1)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _CHILD_ENDED)  # it is waited for
    clear_up = _nothing_left
    if "pid" in layers:
        clear_up = _kill_orphans
    elif "uid" in layers:
        clear_up = _kill_the_rest
    # Another interpreter needs threads, which a limit cannot tell from processes: a filter can.
    own_world = "uid" in layers or {"pid", "mount"} <= set(layers)
    limited = "processes" in layers and not command
    confine = None
    if "seccomp" in layers and not (own_world and limited):
        confine = seccomp.confine_child
    del lockdown
    SOURCES.clear()
    gc.collect()
    gc.freeze()
    _serve(control, supervisor, serve_child, progress, clear_up, confine, folder.empty_folder)


def _serve(
    control: socket,
    supervisor: int,
    serve_child: Callable[[int, int], None],
    progress: float,
    clear_up: Callable[[], float],
    confine: Callable[[], bool] | None,
    empty_folder: Callable[[str], bool],
) -> None:
    """Serve. With `confine`, the children are confined further by it."""
    masters = select.poll()
    masters.register(control.fileno(), select.POLLIN)
    masters.register(supervisor, select.POLLIN)
    work = posix.getcwd()  # by its name it can be opened up again, by "." not
    while True:
        masters.poll()
        try:
            message, ancillary, _, _ = control.recvmsg(256, 64, _MSG_DONTWAIT)
        except BlockingIOError:  # not a message: the supervisor ended
            message = b""
        if not message:
            posix._exit(0)
        cpu_limit, wall_limit = map(float, message.split())
        fd = int.from_bytes(ancillary[0][2][:_DESCRIPTOR_BYTES], sys.byteorder)
        pid = posix.fork()
        if pid == 0:
            posix.setsid()
            posix.close(control.detach())
            posix.close(supervisor)
            _open_streams()
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _CHILD_ENDED)
            if confine is not None:
                confine()
            serve_child(fd, fd)
        posix.close(fd)
        end, status, used = _watch(pid, cpu_limit, wall_limit, progress, masters)
        used += clear_up()
        if end == "exit" and used > cpu_limit:  # what processes of its own did counts, too
            end = "cpu"
        if not empty_folder(work):  # the next program would find what is left
            posix._exit(1)
        control.send(f"{end} {status} {used:.6f}".encode())


def _open_streams() -> None:
    """Give a child its own descriptors 0 to 2: flags on shared ones would outlive it."""
    null = posix.open("/dev/null", posix.O_RDWR)
    for fd in (0, 1, 2):
        posix.dup2(null, fd)
    posix.close(null)


def _watch(
    pid: int, cpu_limit: float, wall_limit: float, progress: float, masters: select.poll
) -> tuple[str, int, float]:
    """Wait for the child, or end it at a limit.

    Past the wall limit, up to ten times that, it goes on as long as it gets the share `progress`
    of a core: then a busy machine holds it up, and the CPU limit will end it.
    Returns ("exit", "cpu" or "wall"; its status, as `wait` gives it; seconds of CPU time it used).
    """
    clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of that process, see clock_gettime(2)
    started = time.monotonic()
    deadline, before = started + wall_limit, 0.0
    end, pause = "exit", min(cpu_limit, wall_limit)
    while end == "exit":
        _signal.sigtimedwait(_CHILD_ENDED, pause)
        ended, status, usage = posix.wait4(pid, posix.WNOHANG)
        if ended:
            return end, status, usage.ru_utime + usage.ru_stime
        if masters.poll(0):  # the supervisor ended, or let go of us
            posix.kill(pid, SIGKILL)
            posix._exit(0)
        used, now = time.clock_gettime(clock), time.monotonic()
        if used >= cpu_limit:
            end = "cpu"
        elif now >= deadline:
            late = now - started >= _MOST_EXTENSION * wall_limit
            if late or used - before < progress * _EXTENSION_SECONDS:
                end = "wall"
            before, deadline = used, now + _EXTENSION_SECONDS
        pause = max(0.001, min(cpu_limit - used, deadline - now))
    posix.kill(pid, SIGKILL)
    _, status, usage = posix.wait4(pid, 0)
    return end, status, usage.ru_utime + usage.ru_stime


def _starter(command: list[str]) -> Callable[[int, int], None]:
    """Return what a child does with its socket where it runs another interpreter."""

    def start(source: int, sink: int) -> None:
        posix.set_inheritable(source, True)
        try:
            posix.execve(command[0], [*command, str(source), str(sink)], posix.environ)
        finally:
            posix._exit(127)

    return start


def _nothing_left() -> float:
    """There is no means to find what a child left; with filters it could start nothing."""
    return 0.0


def _kill_orphans() -> float:
    """As process 1 of its namespace: kill and reap what the child started, if there is any."""
    try:
        ended, _, usage = posix.wait4(-1, posix.WNOHANG)
    except ChildProcessError:  # so it is mostly; whatever the child left is a child of process 1
        return 0.0
    return _kill_the_rest() + (usage.ru_utime + usage.ru_stime if ended else 0.0)


def _kill_the_rest() -> float:
    """Kill and reap whatever the child started: all that this zygote may send a signal to.

    Returns the seconds of CPU time of what was reaped.
    """
    used = 0.0
    try:
        posix.kill(-1, SIGKILL)
        while True:
            usage = posix.wait4(-1, 0)[2]
            used += usage.ru_utime + usage.ru_stime
    except (ProcessLookupError, ChildProcessError):
        return used


def _warm_up(child: ModuleType) -> None:
    """Compile and run a little, often enough that the interpreter specialises our own code here.

    The first compile of a process builds the AST types; each child would do that anew.
    """
    import os

    # `random` would draw a new seed in every child.
    register, os.register_at_fork = os.register_at_fork, lambda **_: None
    child.settle()
    os.register_at_fork = register
    reader, writer = posix.pipe()
    code = "def f(x):\n    return [i for i in x]\nprint(f([1]))\n"
    call = child.marshal.dumps(compile("f([1])", "<test>", "eval"))
    cases = (("call", call), ("io", "a\n"))
    kept = {name: sys.modules[name] for name in ("__main__", "builtins")}
    streams = sys.stdin, sys.stdout, sys.stderr
    for _ in range(_WARM_UPS):
        for program in (code, "1 +", "1 / 0"):
            child._run_program(writer, program, None, (), ("sort",), cases, 1000, 4000)
            posix.read(reader, 65_536)
    sys.stdin, sys.stdout, sys.stderr = streams
    sys.modules.update(kept)
    posix.close(reader)
    posix.close(writer)


def _test_library() -> str:
    """Import a few modules in a child, as a student's program will; "" when that works."""
    pid = posix.fork()
    if pid == 0:
        try:
            import datetime  # noqa: F401
            import decimal  # noqa: F401
            import json  # noqa: F401
            import statistics  # noqa: F401
        except BaseException:
            posix._exit(1)
        posix._exit(0)
    if posix.waitpid(pid, 0)[1]:
        return f"the standard library in {sys.base_prefix} cannot be read inside the sandbox"
    return ""


def _test_start(command: list[str]) -> str:
    """Start the interpreter in a child; "" when that works."""
    pid = posix.fork()
    if pid == 0:
        try:
            posix.execve(command[0], [command[0], "--version"], posix.environ)
        finally:
            posix._exit(127)
    if posix.waitpid(pid, 0)[1]:
        return f"{command[0]} cannot be read inside the sandbox, or does not start there"
    return ""


main()
