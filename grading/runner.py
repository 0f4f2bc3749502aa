"""What the supervisor knows of a language: a `Runner`, and the `Run` that comes out of it.

A runner turns a suite's calls into what a child may know of them, runs one program on them, and
hands back the child's words: lines of canonical text (canonical.py), one a case,

    ["case", value, printed, whether that was cut, stderr, null | ["runtime" | "memory", text]]

or, before any of them, one line about the whole program, ["compile", text] or ["forbidden", name,
line]. It never judges: expected answers stay with the supervisor (judge.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from novicegym.courses.model import Assignment

if TYPE_CHECKING:
    from novicegym.grading.judge import Plan
    from novicegym.grading.limits import Limits
    from novicegym.grading.rungs import Rung
    from novicegym.grading.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of one child."""

    reply: bytes
    end: Literal["exit", "cpu", "wall"]
    """"cpu" and "wall": killed at that limit, whatever it had replied before."""
    status: int
    """As `os.wait` gives it."""
    cpu_seconds: float
    overflow: bool
    """Whether the child sent more than its reply may hold; the reply is then cut."""


class Runner(Protocol):
    """Runs programs of one language, each in a process of its own. Thread-safe."""

    @property
    def cpu_floor(self) -> float:
        """Least CPU seconds that a program gets unless the limits say: far above a bare start."""

    @property
    def version(self) -> str:
        """What a verdict depends on beside the program: the interpreter's version."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of isolation in force; starts a process if none has run yet."""

    def prepare(self, assignment: Assignment) -> Any:
        """Return what a child is told of the assignment's suite: no expected answer.

        Called once a suite. Raises GraderError when the teacher's code is broken.
        """

    def run(self, prepared: Any, code: str, cpu_seconds: float) -> Run | None:
        """Run a program on all cases; None when it ended the process it ran in every time.

        Raises GraderError when that is not the program's fault.
        """

    def show(self, value: Any) -> str:
        """Return an expected or an actual value as the language writes it."""

    def close(self) -> None:
        """End all processes."""


@runtime_checkable
class ScriptRunner(Runner, Protocol):
    """A runner that also grades by a teacher's test script."""

    def grade_script(
        self, assignment: Assignment, plan: Plan, code: str, cpu_seconds: float
    ) -> tuple[Verdict, bool]:
        """Return the verdict, and whether it may be remembered."""


class MakeRunner(Protocol):
    """Makes a runner of `workers` processes."""

    def __call__(
        self, workers: int, limits: Limits, *, require: Rung, layers: frozenset[str]
    ) -> Runner: ...
