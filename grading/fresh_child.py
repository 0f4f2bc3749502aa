"""A fresh interpreter that carries out one request: what `FreshWorker` starts.

The request comes on stdin and the reply goes to stdout, by other descriptors than the program's.
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


def _limit(cpu_seconds: float, memory_mb: int) -> None:
    """Set what limits the system has."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    with contextlib.suppress(ImportError):
        import resource

        for kind, value in (
            (resource.RLIMIT_AS, memory_mb << 20),
            (resource.RLIMIT_CPU, int(cpu_seconds) + 1),
            (resource.RLIMIT_FSIZE, 8 << 20),
            (resource.RLIMIT_CORE, 0),
        ):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (value, value))


def main() -> None:
    """Serve one request."""
    cpu_seconds, memory_mb = float(sys.argv[1]), int(sys.argv[2])
    sys.argv = sys.orig_argv = [""]
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    parts = {name: _load(f"python/{name}") for name in ("encoder", "tracebacks")}
    autograder, folder = _load("python/cs110"), _load("folder")
    child = _load("python/child", **parts, folder=folder, autograder=autograder)
    _limit(cpu_seconds, memory_mb)
    child.serve(source, sink)


if __name__ == "__main__":
    main()
