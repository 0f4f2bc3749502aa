"""What the autograder says of one submission: plain data.

A verdict depends only on suite, code, limits, versions of grader and language, isolation in force.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias, get_args

Outcome: TypeAlias = Literal[
    "correct", "logical", "runtime", "compile", "timeout", "memory", "refused"
]
"""correct: full grade. logical: ran, some answer wrong. runtime: raised. compile: does not
compile. timeout, memory: hit a limit. refused: could not be run safely, or broke the rules."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One test case of one submission."""

    name: str
    passed: bool
    outcome: Outcome
    call: str = ""
    """What was run: the call, or the stdin given."""
    expected: str = ""
    """The expected value as text. Teacher's knowledge: shown only at feedback level `full`."""
    actual: str = ""
    """The value or output the student's code gave, as capped text."""
    error: str = ""
    """Traceback trimmed to the student's lines, without paths; "" when nothing was raised."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one submission."""

    grade: Fraction
    """Share of the tests passed, exact, in [0, 1]."""
    outcome: Outcome
    cases: tuple[CaseResult, ...] = ()
    message: str = ""
    """What concerns the whole program: a syntax error, a traceback, or what a test script says."""
    stable: bool = True
    """False when the program was run twice, on request, and not everything here was the same."""

    @property
    def correct(self) -> bool:
        """Whether the submission is fully correct."""
        return self.grade == 1

    @property
    def case_bits(self) -> str:
        """One character a case, "1" for passed; "" for test scripts."""
        return "".join("1" if case.passed else "0" for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data, the grade as "3/8"; `from_json` inverts it."""
        flag = {} if self.stable else {"stable": False}
        return {
            "grade": str(self.grade),
            "outcome": self.outcome,
            "message": self.message,
            "cases": [asdict(case) for case in self.cases],
            **flag,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        """Inverse of `to_json`."""
        return cls(
            grade=Fraction(data["grade"]),
            outcome=data["outcome"],
            message=data["message"],
            cases=tuple(CaseResult(**case) for case in data["cases"]),
            stable=data.get("stable", True),
        )
