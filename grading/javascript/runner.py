"""Runs JavaScript programs, each in a fresh `node` process: what child.js does there.

Covered: call cases, whose call is a JavaScript expression, and stdin/stdout cases. A zygote puts on
all layers of isolation and starts node for every submission (some 50 ms each, which count as its
CPU time); on systems without zygotes see fresh.py. Expected answers are plain Python values: None
stands for null and undefined, a dict with text keys for an object or a Map, a set for a Set. There
is one kind of number, so a suite's types="strict" has no use here.
Not covered: FalconCode test scripts and forbidden methods, which are about Python programs.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from novicegym.courses.model import Assignment
from novicegym.courses.suite import IOCase
from novicegym.errors import GraderError
from novicegym.grading.judge import read_lines
from novicegym.grading.limits import Limits
from novicegym.grading.pool import Pool
from novicegym.grading.rungs import Rung
from novicegym.grading.runner import Run
from novicegym.grading.start import start_worker

_CHILD = Path(__file__).with_name("child.js")
_NODE_MEMORY_MB = 128
"""Least that node starts with."""
_FLAGS = (
    # The same sequence of Math.random in every case; nothing that depends on threads' timing.
    *("--random-seed=1", "--single-threaded", "--v8-pool-size=0", "--stack-trace-limit=50"),
    # Its configuration lies where no program may read, and node would not start.
    f"--openssl-config={os.devnull}",
)
_CHECK_CPU_SECONDS = 10.0
_OUT_OF_MEMORY = (
    b'["case",null,"",false,"",["memory","the program used more memory than it may"]]\n'
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A suite's code, without its expected answers."""

    setup: str
    files: tuple[tuple[str, str], ...]
    cases: tuple[tuple[str, str], ...]


class JavaScriptRunner:
    """Runs programs in the `node` that is first on the PATH. Thread-safe."""

    cpu_floor = 1.0

    def __init__(
        self, workers: int, limits: Limits, *, require: Rung, layers: frozenset[str]
    ) -> None:
        if limits.memory_mb < _NODE_MEMORY_MB:
            raise GraderError(
                f"memory_mb must be at least {_NODE_MEMORY_MB} to start node, "
                f"got {limits.memory_mb}"
            )
        node, self.version = _find_node()
        # What node itself holds beside a program's objects takes up to a quarter.
        heap = f"--max-old-space-size={limits.memory_mb * 3 // 4}"
        command = (node, *_FLAGS, heap, "-e", _CHILD.read_text(encoding="utf-8"))
        self._limits = limits
        self._pool = Pool(
            workers,
            lambda: start_worker(limits, layers, command),
            limits,
            require=require,
            harmless=_program_request(Prepared("", (), (("io", ""),)), "", limits),
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of isolation in force."""
        return self._pool.layers

    def prepare(self, assignment: Assignment) -> Prepared:
        """Check a suite's calls and setup. Raises GraderError when one does not compile."""
        suite = assignment.tests
        if suite.forbidden_methods:
            raise GraderError(
                f"assignment {assignment.id!r}: forbidden_methods are for Python programs alone, "
                f"got {list(suite.forbidden_methods)}"
            )
        cases = tuple(
            ("io", case.stdin) if isinstance(case, IOCase) else ("call", case.call.strip())
            for case in suite.cases
        )
        calls = {f"test {n}": text for n, (kind, text) in enumerate(cases, 1) if kind == "call"}
        wanted = {"kind": "check", "setup": suite.setup, "calls": list(calls.values())}
        run = self._pool.run(_as_request(wanted), _CHECK_CPU_SECONDS)
        match read_lines(run.reply) if run is not None else None:
            case [["check", *problems]]:
                pass
            case _:
                raise GraderError(f"node does not work in this sandbox, it gave {run}")
        sources = {"setup": suite.setup} | calls
        for (name, source), problem in zip(sources.items(), problems, strict=True):
            if problem is not None:
                raise GraderError(
                    f"assignment {assignment.id!r}: {name} does not compile: {source!r}: {problem}"
                )
        return Prepared(suite.setup, suite.files, cases)

    def run(self, prepared: Prepared, code: str, cpu_seconds: float) -> Run | None:
        """Run a program on all cases of a suite."""
        run = self._pool.run(_program_request(prepared, code, self._limits), cpu_seconds)
        if run is not None and run.end == "exit" and run.status & 0x7F == signal.SIGABRT:
            # So ends node when its memory is used up; it has no time to say so itself.
            whole_lines = run.reply[: run.reply.rfind(b"\n") + 1]
            return replace(run, reply=whole_lines + _OUT_OF_MEMORY)
        return run

    @staticmethod
    def show(value: Any) -> str:
        """Return the value as JavaScript writes it, sets in a fixed order."""
        return _show(value)

    def close(self) -> None:
        """End all processes."""
        self._pool.close()


def _find_node() -> tuple[str, str]:
    """Return the path and the version of node. Raises GraderError when there is none to use."""
    found = shutil.which("node")
    if found is None:
        raise GraderError(
            "programs in JavaScript need node, and there is none on the PATH: install it from "
            "nodejs.org or your system's packages; assignments in Python do without"
        )
    path = os.path.realpath(found)
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, check=True, text=True, timeout=60
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise GraderError(f"{path} does not start: {error}") from None
    match = re.fullmatch(r"v(\d+)\.(\d+)\.\d+", said)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    # vm.constants.DONT_CONTEXTIFY: global variables are a hundred times slower without.
    if not ((20, 18) <= version < (21, 0) or version >= (22, 8)):
        raise GraderError(
            f"programs in JavaScript need node 20.18, 22.8 or newer, {path} is {said!r}"
        )
    return path, f"node {said}"


def _program_request(prepared: Prepared, code: str, limits: Limits) -> bytes:
    return _as_request(
        {
            "kind": "program",
            "code": code,
            "setup": prepared.setup,
            "files": prepared.files,
            "cases": prepared.cases,
            "output_room": limits.output_bytes,
            "room": limits.reply_bytes // max(1, len(prepared.cases)),
        }
    )


def _as_request(wanted: dict[str, Any]) -> bytes:
    return json.dumps(wanted).encode()


def _show(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return _show_number(value)
    if kind is str:
        return _show_text(value)
    if kind in (list, tuple):
        return "[" + ", ".join(map(_show, value)) + "]"
    if kind is dict and all(type(key) is str for key in value):
        return "{" + ", ".join(f"{_show_text(k)}: {_show(v)}" for k, v in value.items()) + "}"
    if kind is dict:
        return f"new Map({_show([list(item) for item in value.items()])})"
    if kind in (set, frozenset):
        return "new Set([" + ", ".join(sorted(map(_show, value))) + "])"
    try:
        return repr(value)
    except ValueError:  # an int of more digits than Python converts
        return "<a number too long to show>"


def _show_text(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.encode("utf-8", "backslashreplace").decode()  # lone surrogates


def _show_number(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        text = f"{Decimal(repr(number)):f}"
        return text.removesuffix(".0")
    return re.sub(r"e([+-])0*", r"e\1", repr(number)).replace(".0e", "e")
