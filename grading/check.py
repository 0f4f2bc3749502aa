"""Whether the sandbox holds here: the attack suite, run against the grader in force.

    report = check_sandbox()
    report.rung, report.layers, report.breaches

An attack is a program in a file of its own that tries to reach out of the sandbox, to fool the
grader or to outlive its turn. It is stopped when three things hold: its verdict is the honest
one; nothing outside changed (canary.py); and the very next program on the same zygote is graded
right and sees the same world as the first program of a fresh zygote.

Not covered: reading and timing side channels, and two programs that run at the same moment.
"""

from __future__ import annotations

import ast
import resource
import runpy
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestScript, TestSuite
from novicegym.errors import GraderError, UsageError, unknown_name
from novicegym.grading.canary import World, changes
from novicegym.grading.grader import Grader, Limits
from novicegym.grading.rungs import LAYERS, Rung
from novicegym.grading.verdict import Verdict

__all__ = ["AttackResult", "SandboxReport", "check_sandbox"]

_FOLDER = Path(__file__).resolve().parent.parent / "tests" / "attacks"
_LIMITS = Limits(cpu_seconds=0.25, wall_seconds=1.0, memory_mb=128)
_SETTLE_SECONDS = 1.0
"""How long what a program started may take to be gone after its verdict."""
_BUSY_SECONDS, _BUSY_MB = 1.0, 100
"""More than this of the caller's own, for one program, is an attack that got through."""

_SCRIPT = """
from cs110 import autograder
import double
def test_passed():
    points = 0
    for number in (3, 5):
        output, error = autograder.run_script("double.py", [number], False)
        points += 25 * autograder.equals(output, 2 * number)
        points += 25 * (double.f(number) == 2 * number)
    return points
"""
_MUCH = "3\n" + "7\n" * 100_000
"""An input of three times what fits into a pipe."""

Status = Literal["stopped", "got through", "not tried"]


@dataclass(frozen=True, slots=True)
class Attack:
    """One program of the suite, and what an honest grader says of it."""

    name: str
    tries: str
    code: str
    grade: Fraction
    outcomes: tuple[str, ...]
    """More than one only where it depends on timing."""
    kind: Literal["call", "io", "script"] = "call"
    needs: tuple[str, ...] = ()
    """Layers of which one must be in force, else running it would harm the machine."""


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What became of one attack."""

    name: str
    tries: str
    status: Status
    detail: str = ""
    """What gave way, or why it was not tried."""


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What the attack suite found."""

    rung: Rung
    layers: tuple[str, ...]
    results: tuple[AttackResult, ...]

    @property
    def breaches(self) -> tuple[AttackResult, ...]:
        """The attacks that got through."""
        return tuple(result for result in self.results if result.status == "got through")

    @property
    def not_tried(self) -> tuple[AttackResult, ...]:
        """The attacks left out because they would harm this machine."""
        return tuple(result for result in self.results if result.status == "not tried")


def load_attacks() -> dict[str, Attack]:
    """Return the attack suite by name, in alphabetic order."""
    attacks = {}
    for path in sorted(_FOLDER.glob("[a-z]*.py")):
        names = runpy.run_path(str(path))
        outcome = names["OUTCOME"]
        attacks[path.stem] = Attack(
            name=path.stem,
            tries=" ".join(names["__doc__"].split()),
            code=names["CODE"],
            grade=Fraction(names["GRADE"]),
            outcomes=(outcome,) if isinstance(outcome, str) else outcome,
            kind=names.get("KIND", "call"),
            needs=names.get("NEEDS", ()),
        )
    return attacks


def check_sandbox(
    *,
    layers: frozenset[str] = LAYERS,
    only: Iterable[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SandboxReport:
    """Run the attack suite against a grader of its own and return what got through.

    `layers`: install these alone, to see what each is good for (default: all there are).
    `only`: names of attacks (default: all). `progress(done, total)` is called after each.
    Raises UsageError for an unknown name, and on systems other than Linux.
    """
    suite = load_attacks()
    names = list(suite) if only is None else list(only)
    for name in names:
        if name not in suite:
            raise unknown_name("attack", name, suite)
    with SandboxCheck(layers) as check:
        results = []
        for name in names:
            results.append(check.run(suite[name]))
            if progress is not None:
                progress(len(results), len(names))
        return SandboxReport(check.rung, check.layers, tuple(results))


class SandboxCheck:
    """Canaries outside, a grader with one zygote, and what a program sees on a fresh one.

    After an attack that got through all of these are made anew, so that the next is judged alone.
    """

    def __init__(self, layers: frozenset[str] = LAYERS) -> None:
        if sys.platform != "linux":
            raise UsageError(
                f"the attack suite runs on Linux only, this is {sys.platform}: "
                "grading here is not a sandbox"
            )
        self._wanted = layers
        self._begin()

    def _begin(self) -> None:
        self.world = World()
        try:
            self.grader = Grader(
                workers=1,
                limits=_LIMITS,
                cache_size=0,
                require="not-a-sandbox",
                layers=self._wanted,
            )
            self._looks = 0
            self._fresh = self._look_around()
            self.layers = self.grader.isolation
            self.rung = self.grader.rung
            # The first script starts the second kind of zygote, which must not look like a change.
            self.grader.grade(self._assignment("script"), "def f(x): return 2 * x\n")
            self._before = self.world.state()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the grader and the canaries."""
        if hasattr(self, "grader"):
            self.grader.close()
        self.world.close()

    def __enter__(self) -> SandboxCheck:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, attack: Attack) -> AttackResult:
        """Run one attack and say what became of it."""
        if attack.needs and not set(attack.needs) & set(self.layers):
            detail = f"would harm this machine: it has none of {', '.join(attack.needs)}"
            return AttackResult(attack.name, attack.tries, "not tried", detail)
        problems = self._attack(attack)
        if not problems:
            return AttackResult(attack.name, attack.tries, "stopped")
        self.close()
        self._begin()
        return AttackResult(attack.name, attack.tries, "got through", "; ".join(problems))

    def _attack(self, attack: Attack) -> list[str]:
        cpu, memory = time.process_time(), _peak_mb()
        try:
            verdict = self.grader.grade(self._assignment(attack.kind), attack.code)
        except GraderError as error:
            return [f"the grader failed: {error}"]
        problems = wrong_verdict(attack, verdict)
        cpu, memory = time.process_time() - cpu, _peak_mb() - memory
        if cpu > _BUSY_SECONDS:
            problems.append(f"outside: the caller was kept busy for {cpu:.1f} s")
        if memory > _BUSY_MB:
            problems.append(f"outside: the caller grew by {memory} MB")
        problems += [f"outside: {change}" for change in self._outside()]
        try:
            problems += [f"the next program: {change}" for change in self._next()]
        except GraderError as error:
            problems.append(f"the next program: the grader failed: {error}")
        return problems

    def _assignment(self, kind: str) -> Assignment:
        setup = self.world.setup()
        files = (("data.txt", "data\n"),)
        if kind == "script":
            suite = TestSuite(script=TestScript(_SCRIPT), setup=setup, files=files)
        elif kind == "io":
            io = (IOCase("3\n", "6\n"), IOCase("5\n", "10\n"), IOCase(_MUCH, "6\n"))
            suite = TestSuite(cases=io, setup=setup, files=files)
        else:
            calls = (CallCase("f(3)", 6), CallCase("f(5)", 10), CallCase("f(-1)", -2))
            suite = TestSuite(cases=calls, setup=setup, files=files)
        return Assignment("double", "", "", suite)

    def _outside(self) -> list[str]:
        """Return what changed outside; what ends by itself is waited for."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            found = changes(self._before, self.world.state())
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def _next(self) -> list[str]:
        """Return how what the next program gets and sees differs from a fresh zygote."""
        return changes(self._fresh, self._look_around())

    def _look_around(self) -> dict[str, str]:
        """Grade a right program, and return all it can see of its surroundings."""
        self._looks += 1
        looks = [CallCase(f"look({part})", None) for part in range(_PARTS)]
        suite = TestSuite(cases=(CallCase("f(3)", 6), *looks), setup=self.world.setup())
        verdict = self.grader.grade(Assignment("next", "", "", suite), f"{_PROBE}#{self._looks}")
        first, *others = verdict.cases
        seen = {"grade": f"{first.outcome}: {first.actual}{first.error}{verdict.message}"}
        for case in others:
            try:
                seen |= ast.literal_eval(case.actual)
            except (ValueError, SyntaxError):
                seen["view"] = f"{case.outcome}: {case.actual}{case.error}"
        return seen


def wrong_verdict(attack: Attack, verdict: Verdict) -> list[str]:
    """Return what is wrong with the verdict on an attack; nothing when it is the honest one."""
    if verdict.grade == attack.grade and verdict.outcome in attack.outcomes:
        return []
    said = [part for case in verdict.cases for part in (case.actual, case.error) if part]
    said.append(verdict.message)
    wanted = f"{attack.grade} ({' or '.join(attack.outcomes)})"
    return [f"verdict: {verdict.grade} ({verdict.outcome}) instead of {wanted}: {said[0][:300]}"]


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


_PARTS = 3
_PROBE = r'''
import _locale, _signal, _thread, builtins, ctypes, errno, fcntl, gc, os, random, resource, stat
import sys, time, zlib


def f(x):
    return 2 * x


def told(look, *args):
    """What a look gives, as short text; errors count, too."""
    try:
        text = repr(look(*args))
    except BaseException as error:
        text = f"{type(error).__name__} {getattr(error, 'errno', '')}"
    return text if len(text) < 60 else f"{text[:20]}.. {len(text)} {zlib.crc32(text.encode()):x}"


def marks():
    found = []
    for place in (".", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", HOST_FOLDER):
        try:
            found += [place for name in os.listdir(place) if HOST_MARK in name]
        except OSError:
            pass
    return found


def alive(pid):
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def descriptors():
    found = []
    for fd in range(64):
        try:
            info = os.fstat(fd)
        except OSError:
            continue
        flags = [fcntl.fcntl(fd, command) for command in (fcntl.F_GETFL, fcntl.F_GETFD,
                 fcntl.F_GETOWN, fcntl.F_GETSIG)]
        found.append((fd, stat.S_IFMT(info.st_mode), *flags))
    return found


def hints():
    try:
        return [fcntl.fcntl(fd, 1035, bytes(8)) for fd in (0, 1, 2)]  # F_GET_RW_HINT
    except OSError as error:
        return error.errno


def limits():
    return [resource.getrlimit(getattr(resource, name))
            for name in dir(resource) if name.startswith("RLIMIT")]


def ipc():
    libc = ctypes.CDLL(None)
    return [libc.shmget(HOST_KEY, 0, 0), libc.msgget(HOST_KEY, 0), libc.semget(HOST_KEY, 0, 0)]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


LOOKS = (
    {
        "folder": lambda: os.listdir("."),
        "root": lambda: sorted(os.listdir("/")),
        "marks": marks,
        "working folder": lambda: (oct(os.stat(".").st_mode), os.getcwd()),
        "space": lambda: (os.statvfs(".").f_bfree, os.statvfs(".").f_ffree)
        if os.path.dirname(os.getcwd()) == "/" else None,
        "environment": lambda: sorted(os.environ.items()),
        "umask": umask,
        "limits": limits,
        "descriptors": descriptors,
        "write hints": hints,
        "host name": lambda: os.uname().nodename,
        "System V": ipc,
    },
    {
        "ids": lambda: (len({*os.getresuid(), *os.getresgid()}), os.getuid() == 0, os.getgroups()),
        "session": lambda: (os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()),
        "scheduling": lambda: os.sched_getscheduler(0),
        "processors": lambda: os.sched_getaffinity(0),
        "signals": lambda: [str(_signal.getsignal(n)) for n in range(1, 65) if n not in (32, 33)],
        "blocked": lambda: sorted(_signal.pthread_sigmask(_signal.SIG_BLOCK, [])),
        "pending": lambda: sorted(_signal.sigpending()),
        "timers": lambda: [_signal.getitimer(n) for n in (0, 1, 2)],
        "threads": lambda: _thread._count(),
        "others": lambda: os.kill(-1, 0),
        "neighbours": lambda: [p for p in range(2, 200) if p != os.getpid() and alive(p)]
        if os.getppid() == 1 else None,
    },
    {
        "recursion limit": sys.getrecursionlimit,
        "path": lambda: sys.path,
        "importers": lambda: [type(part).__name__ for part in (*sys.meta_path, *sys.path_hooks)],
        "modules": lambda: sorted(sys.modules),
        "builtins": lambda: sorted((n, type(v).__name__) for n, v in vars(builtins).items()),
        "random": random.random,
        "time zone": lambda: (time.tzname, time.timezone),
        "locale": lambda: _locale.setlocale(_locale.LC_ALL, None),
        "flags": lambda: str(sys.flags),
        "garbage": lambda: (gc.isenabled(), gc.get_threshold(), gc.callbacks),
        "hooks": lambda: (sys.gettrace(), sys.getprofile(), sys.excepthook is sys.__excepthook__),
        "digits": sys.get_int_max_str_digits,
        "arguments": lambda: (sys.argv, sys.orig_argv),
        "streams": lambda: [type(s).__name__ for s in (sys.stdin, sys.stdout, sys.__stdout__)],
    },
)


def look(part):
    return {name: told(look) for name, look in LOOKS[part].items()}
'''
