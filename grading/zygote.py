"""A zygote: a lean, warmed-up, locked-down interpreter that forks one child a submission.

Started by exec (`python -S -s -P -B`) with a socket to its supervisor. For each
submission the supervisor passes one more socket; the zygote forks, and only the child reads from
it, so no submission ever lies in the memory that the next child inherits. The zygote then
watches the child's CPU clock, kills everything that is left when the child ends, and reports
how it ended. It ends itself when its supervisor does.

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
    from types import ModuleType

_DESCRIPTOR_BYTES = 4
SIGKILL = 9
_HERE = __file__.rpartition("/")[0]


def _load(name: str, **names: object) -> ModuleType:
    """Load a file beside this one as a module, over a private copy of the builtins."""
    path = f"{_HERE}/{name}.py"
    with open(path, encoding="utf-8") as file:
        source = file.read()
    module = type(sys)(name)
    module.__dict__.update(names)
    module.__dict__["__builtins__"] = dict(sys.modules["builtins"].__dict__)
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def main() -> None:
    """Lock down, warm up, report the layers in force, then serve until the supervisor ends."""
    descriptor, memory_mb = int(sys.argv[1]), int(sys.argv[2])
    keep_uid, work = sys.argv[3] == "keep-uid", sys.argv[4]
    posix.environ.pop(b"LD_LIBRARY_PATH", None)  # read by now; programs see the same everywhere
    sys.argv = sys.orig_argv = [""]  # a program reads no paths of this machine there
    # As process 1 of its namespace it gets no signal from a child, but for those it handles.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    supervisor, number = posix.pidfd_open(posix.getppid()), posix.getpid()
    seccomp = _load("seccomp")
    lockdown = _load("lockdown", seccomp=seccomp)
    parts = {"canonical": _load("canonical"), "tracebacks": _load("tracebacks")}
    child = _load("child", **parts, autograder=_load("cs110"))
    layers = lockdown.lock_down(memory_mb, keep_uid, work, number)
    control = socket(fileno=descriptor)
    problem = _self_test()
    if not problem:
        _warm_up(child)
    control.send((f"error {problem}" if problem else "ready " + " ".join(layers)).encode())
    if problem:
        posix._exit(1)
    null = posix.open("/dev/null", posix.O_RDWR)
    for fd in (0, 1, 2):
        posix.dup2(null, fd)
    posix.close(null)
    del lockdown
    gc.collect()
    gc.freeze()
    can_clear_up = "pid" in layers or "uid" in layers
    apart = "uid" in layers or {"pid", "mount"} <= set(layers)
    _serve(control, supervisor, child, can_clear_up, None if apart else seccomp)


def _serve(
    control: socket,
    supervisor: int,
    child: ModuleType,
    can_clear_up: bool,
    seccomp: ModuleType | None,
) -> None:
    """Serve. With `seccomp`, the children are confined further by it."""
    idle = select.poll()
    idle.register(control.fileno(), select.POLLIN)
    idle.register(supervisor, select.POLLIN)
    while True:
        ready = dict(idle.poll())
        if supervisor in ready:
            posix._exit(0)
        message, ancillary, _, _ = control.recvmsg(256, 64)
        if not message:
            posix._exit(0)
        cpu_limit, wall_limit = map(float, message.split())
        fd = int.from_bytes(ancillary[0][2][:_DESCRIPTOR_BYTES], sys.byteorder)
        pid = posix.fork()
        if pid == 0:
            posix.setsid()
            posix.close(control.detach())
            posix.close(supervisor)
            if seccomp is not None:
                seccomp.confine_child()
            child.serve(fd)
        posix.close(fd)
        end = _watch(pid, cpu_limit, wall_limit, (supervisor, control.fileno()))
        _, status, usage = posix.wait4(pid, 0)
        used = usage.ru_utime + usage.ru_stime
        if can_clear_up:
            used += _kill_the_rest()
        if end == "exit" and used > cpu_limit:  # what processes of its own did counts, too
            end = "cpu"
        child.empty_folder(".")
        if posix.listdir("."):  # the next program would find it
            posix._exit(1)
        control.send(f"{end} {status} {used:.6f}".encode())


def _watch(pid: int, cpu_limit: float, wall_limit: float, masters: tuple[int, int]) -> str:
    """Wait for the child; kill it at its CPU limit, or at the wall limit. Say which it was."""
    end = "exit"
    clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of that process, see clock_gettime(2)
    process = posix.pidfd_open(pid)
    watch = select.poll()
    watch.register(process, select.POLLIN)
    for fd in masters:
        watch.register(fd, select.POLLIN)
    started = time.monotonic()
    pause = cpu_limit
    while True:
        ready = dict(watch.poll(max(1, int(pause * 1000))))
        if process in ready:
            break
        if ready:  # the supervisor ended, or let go of us
            posix.kill(pid, SIGKILL)
            posix._exit(0)
        try:
            used = time.clock_gettime(clock)
        except OSError:  # it ended this moment
            continue
        waited = time.monotonic() - started
        if used >= cpu_limit:
            end = "cpu"
        elif waited >= wall_limit:
            end = "wall"
        if end != "exit":
            posix.kill(pid, SIGKILL)
            break
        pause = min(max(cpu_limit - used, 0.001), wall_limit - waited)
    posix.close(process)
    return end


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
    """Compile and run a little: the first compile of a process builds the AST types."""
    import random

    random.seed(0)
    reader, writer = posix.pipe()
    code = "import random\ndef f(x):\n    return [i for i in x]\nprint(f([1]))\n"
    call = child.marshal.dumps(compile("f([1])", "<test>", "eval"))
    cases = (("call", call), ("io", "a\n"))
    stdin, stdout, stderr, main_module = sys.stdin, sys.stdout, sys.stderr, sys.modules["__main__"]
    child._run_program(writer, code, None, (), ("sort",), cases, 1000, 4000)
    child._run_program(writer, "1 +", None, (), (), cases, 1000, 4000)
    child._run_program(writer, "1 / 0", None, (), (), cases, 1000, 4000)
    sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr
    sys.modules["__main__"] = main_module
    posix.close(reader)
    posix.close(writer)


def _self_test() -> str:
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


if __name__ == "__main__":
    main()
