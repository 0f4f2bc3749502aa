"""A zygote: a lean, warmed-up, locked-down interpreter that forks one child a submission.

Started by exec (`python -S -s -P -B`) with a socket to its supervisor as descriptor 3. For each
submission the supervisor passes one more socket; the zygote forks, and only the child reads from
it, so no submission ever lies in the memory that the next child inherits. The zygote then
watches the child's CPU clock, kills everything that is left when the child ends, and reports
how it ended. It ends itself when its supervisor does.

Not covered: what runs in the child (child.py), the layers of isolation (lockdown.py).
"""

from __future__ import annotations

import gc
import posix
import select
import sys
import time
from _signal import SIGKILL
from _socket import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

CONTROL = 3
_DESCRIPTOR_BYTES = 4
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
    memory_mb, keep_uid, work = int(sys.argv[1]), sys.argv[2] == "keep-uid", sys.argv[3]
    supervisor, number = posix.pidfd_open(posix.getppid()), posix.getpid()
    lockdown = _load("lockdown")
    canonical = _load("canonical")
    child = _load("child", canonical=canonical)
    layers = lockdown.lock_down(memory_mb, keep_uid, work, supervisor, number)
    control = socket(fileno=CONTROL)
    _warm_up(child)
    problem = _self_test()
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
    _serve(control, supervisor, child.serve, "pid" in layers or "uid" in layers)


def _serve(control: socket, supervisor: int, run, kill_all: bool) -> None:  # type: ignore[no-untyped-def]
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
            control.detach()
            posix.close(CONTROL)
            posix.close(supervisor)
            run(fd)
        posix.close(fd)
        end = _watch(pid, cpu_limit, wall_limit, supervisor)
        _, status, usage = posix.wait4(pid, 0)
        _kill_the_rest(pid, kill_all)
        _tidy()
        control.send(f"{end} {status} {usage.ru_utime + usage.ru_stime:.6f}".encode())


def _watch(pid: int, cpu_limit: float, wall_limit: float, supervisor: int) -> str:
    """Wait for the child; kill it at its CPU limit, or at the wall limit. Say which it was."""
    end = "exit"
    clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of that process, see clock_gettime(2)
    process = posix.pidfd_open(pid)
    watch = select.poll()
    watch.register(process, select.POLLIN)
    watch.register(supervisor, select.POLLIN)
    started = time.monotonic()
    pause = cpu_limit
    while True:
        ready = dict(watch.poll(max(1, int(pause * 1000))))
        if process in ready:
            break
        if supervisor in ready:
            posix.kill(pid, SIGKILL)
            posix._exit(0)
        used = time.clock_gettime(clock)
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


def _kill_the_rest(pid: int, kill_all: bool) -> None:
    """Kill and reap whatever the child started."""
    try:
        if kill_all:
            posix.kill(-1, SIGKILL)
        else:
            posix.killpg(pid, SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        pass
    try:
        while True:
            posix.waitpid(-1, 0)
    except ChildProcessError:
        pass


def _tidy() -> None:
    """Empty the working folder; links are removed, never followed."""
    for name in posix.listdir("."):
        _remove(name)


def _remove(path: str) -> None:
    try:
        posix.unlink(path)
        return
    except OSError:
        pass
    try:
        posix.chmod(path, 0o700, follow_symlinks=True)
    except OSError:
        pass
    try:
        for name in posix.listdir(path):
            _remove(f"{path}/{name}")
        posix.rmdir(path)
    except OSError:
        pass


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
            import datetime
            import decimal
            import json
            import statistics

            assert datetime and decimal and json and statistics
        except BaseException:
            posix._exit(1)
        posix._exit(0)
    if posix.waitpid(pid, 0)[1]:
        return f"the standard library in {sys.base_prefix} cannot be read inside the sandbox"
    return ""


if __name__ == "__main__":
    main()
