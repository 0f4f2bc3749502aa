"""A fresh interpreter that carries out one request: what `FreshWorker` starts.

The request comes on stdin and the reply goes to stdout; the program gets neither. With the command
of another language's interpreter it sets the limits, and becomes that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import ModuleType

_HERE = os.path.dirname(os.path.abspath(__file__))


def _load(name: str, **names: object) -> ModuleType:
    module = ModuleType(os.path.basename(name))
    with open(os.path.join(_HERE, f"{name}.py"), encoding="utf-8") as file:
        source = file.read()
    module.__dict__.update(names)
    module.__dict__["__builtins__"] = dict(sys.modules["builtins"].__dict__)
    exec(compile(source, f"{module.__name__}.py", "exec"), module.__dict__)
    return module


def _limit(cpu_seconds: float, memory_mb: int, *, address_space: bool) -> None:
    """Set what limits the system has."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    with contextlib.suppress(ImportError):
        import resource

        # An interpreter with a just-in-time compiler reserves far more than it uses.
        memory = resource.RLIMIT_AS if address_space else resource.RLIMIT_DATA
        for kind, value in (
            (memory, memory_mb << 20),
            (resource.RLIMIT_CPU, int(cpu_seconds) + 1),
            (resource.RLIMIT_FSIZE, 8 << 20),
            (resource.RLIMIT_CORE, 0),
        ):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (value, value))


def main() -> None:
    """Serve one request."""
    cpu_seconds, memory_mb, command = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    if command:
        _limit(cpu_seconds, memory_mb, address_space=False)
        os.set_inheritable(source, True)
        os.set_inheritable(sink, True)
        os.execv(command[0], [*command, str(source), str(sink)])
    sys.argv = sys.orig_argv = [""]
    parts = {name: _load(f"python/{name}") for name in ("encoder", "tracebacks")}
    autograder, folder = _load("python/cs110"), _load("folder")
    child = _load("python/child", **parts, folder=folder, autograder=autograder)
    child.settle()
    _limit(cpu_seconds, memory_mb, address_space=True)
    child.serve(source, sink)


if __name__ == "__main__":
    main()
