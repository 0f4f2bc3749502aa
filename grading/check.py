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
import importlib
import pkgutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestScript, TestSuite
from novicegym.errors import GraderError, UsageError, unknown_name
from novicegym.grading import attacks as attack_package
from novicegym.grading.canary import World, changes
from novicegym.grading.grader import Grader, Limits
from novicegym.grading.rungs import LAYERS, Rung, reaches, required_rung
from novicegym.grading.surroundings import PARTS, PROGRAM
from novicegym.grading.verdict import Verdict

__all__ = ["AttackResult", "SandboxReport", "check_sandbox"]

_LIMITS = Limits(cpu_seconds=0.4, wall_seconds=1.0, memory_mb=128)
_SETTLE_SECONDS = 1.0
"""How long what a program started may take to be gone after its verdict."""
_PASSING = ("processes:", "caller, descriptors:")
"""The changes outside that may be gone a moment later."""
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
    """The one in force."""
    required: Rung
    """The weakest that graders here accept: the environment's, else the default."""
    layers: tuple[str, ...]
    results: tuple[AttackResult, ...]

    @property
    def grading_allowed(self) -> bool:
        """Whether a Grader that does not ask for a rung grades here."""
        return reaches(self.rung, self.required)

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
    for name in sorted(module.name for module in pkgutil.iter_modules(attack_package.__path__)):
        module = importlib.import_module(f"{attack_package.__name__}.{name}")
        outcome = module.OUTCOME
        attacks[name] = Attack(
            name=name,
            tries=" ".join(str(module.__doc__).split()),
            code=module.CODE,
            grade=Fraction(module.GRADE),
            outcomes=(outcome,) if isinstance(outcome, str) else outcome,
            kind=getattr(module, "KIND", "call"),
            needs=getattr(module, "NEEDS", ()),
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
    Raises UsageError for an unknown name, also in NOVICEGYM_SANDBOX, and on systems other than
    Linux.
    """
    required = required_rung()
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
        return SandboxReport(check.rung, required, check.layers, tuple(results))


class SandboxCheck:
    """Canaries outside, a grader with one zygote, and what a program sees on a fresh one.

    After an attack that got through all of these are made anew: the next one is judged alone.
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
        self._spoiled = False
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
            if self._fresh["grade"] != "correct: 6" or "view" in self._fresh:
                raise GraderError(f"the sandbox cannot grade a right program: {self._fresh}")
            self.layers = self.grader.isolation
            self.rung = self.grader.rung
            # The first script starts the second kind of zygote, which must not look like a change.
            self.grader.grade(self.assignment("script"), "def f(x): return 2 * x\n")
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

    def __exit__(self, *raised: object) -> None:
        self.close()

    def run(self, attack: Attack) -> AttackResult:
        """Run one attack and say what became of it."""
        if attack.needs and not set(attack.needs) & set(self.layers):
            detail = f"would harm this machine: it has none of {', '.join(attack.needs)}"
            return AttackResult(attack.name, attack.tries, "not tried", detail)
        if self._spoiled:
            self.close()
            self._begin()
        problems = self._attack(attack)
        if not problems:
            return AttackResult(attack.name, attack.tries, "stopped")
        self._spoiled = True
        return AttackResult(attack.name, attack.tries, "got through", "; ".join(problems))

    def _attack(self, attack: Attack) -> list[str]:
        cpu, memory = time.process_time(), _peak_mb()
        try:
            verdict = self.grader.grade(self.assignment(attack.kind), attack.code)
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

    def assignment(self, kind: str) -> Assignment:
        """Return what attacks of a kind are graded on; its setup names the canaries to them."""
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
        """Return what changed outside; what may pass is waited for."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            found = changes(self._before, self.world.state())
            passing = any(change.startswith(_PASSING) for change in found)
            if not passing or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def _next(self) -> list[str]:
        """Return how what the next program gets and sees differs from a fresh zygote."""
        return changes(self._fresh, self._look_around())

    def _look_around(self) -> dict[str, str]:
        """Grade a right program, and return all it can see of its surroundings."""
        self._looks += 1
        looks = [CallCase(f"look({part})", None) for part in range(PARTS)]
        suite = TestSuite(cases=(CallCase("f(3)", 6), *looks), setup=self.world.setup())
        verdict = self.grader.grade(Assignment("next", "", "", suite), f"{PROGRAM}#{self._looks}")
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
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
