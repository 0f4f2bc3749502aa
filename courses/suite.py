"""What an assignment is tested with: plain data, no behaviour.

Covered: call cases, stdin/stdout cases, FalconCode test scripts, and their JSON form.
Not covered: running or comparing anything, which is `novicegym.grading`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from novicegym.courses.values import Value, decode_value, encode_value

TypeRule: TypeAlias = Literal["python", "plain", "strict"]
"""Which numbers of different types may be equal. python: all, True and 1 too, as `==` says;
plain: 3 and 3.0; strict: none. A list never equals a tuple, nor a text its bytes."""


@dataclass(frozen=True, slots=True)
class CallCase:
    """One Python expression over the student's names, and the value it must have."""

    call: str
    """For example `"search(42, [1, 5, 10])"`."""
    expected: Value
    name: str = ""
    tolerance: float = 0.0
    """Largest accepted |actual - expected| of two numbers, at any depth; 0 means equal."""
    types: TypeRule = "plain"


@dataclass(frozen=True, slots=True)
class IOCase:
    """One run of the whole program: what it is given on stdin and must print."""

    stdin: str
    stdout: str
    """Compared line by line; white space at line ends and blank lines at the end are ignored.
    The prompts of `input(...)` are not part of the output."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class TestScript:
    """A teacher's test program in FalconCode's `cs110.autograder` protocol."""

    __test__: ClassVar[bool] = False  # pytest takes any Test* class for a test case

    source: str
    max_score: float = 100.0

    def __post_init__(self) -> None:
        if not (self.max_score > 0 and math.isfinite(self.max_score)):
            raise ValueError(f"max_score must be a number above 0, got {self.max_score}")


@dataclass(frozen=True, slots=True)
class TestSuite:
    """All tests of one assignment: either cases or a script.

    The grade is the share of cases passed, or the script's points over `max_score`.
    """

    __test__: ClassVar[bool] = False

    cases: tuple[CallCase | IOCase, ...] = ()
    script: TestScript | None = None
    setup: str = ""
    """The teacher's code, run before the student's in the same namespace."""
    forbidden_methods: tuple[str, ...] = ()
    """Method names the student's code must not call (`.sort`); a program that does fails."""
    files: tuple[tuple[str, str], ...] = ()
    """(name, text) of the files the program finds in its working folder."""

    def __post_init__(self) -> None:
        if bool(self.cases) == (self.script is not None):
            raise ValueError("a test suite has either cases or a script, and not both")


def suite_to_json(suite: TestSuite) -> dict[str, Any]:
    """Return the suite as JSON-able data; `suite_from_json` inverts it. Defaults are left out."""
    data: dict[str, Any] = {}
    if suite.cases:
        data["cases"] = [_case_to_json(case) for case in suite.cases]
    if suite.script is not None:
        data["script"] = {"source": suite.script.source, "max_score": suite.script.max_score}
    if suite.setup:
        data["setup"] = suite.setup
    if suite.forbidden_methods:
        data["forbidden_methods"] = list(suite.forbidden_methods)
    if suite.files:
        data["files"] = dict(suite.files)
    return data


def suite_from_json(data: dict[str, Any]) -> TestSuite:
    """Inverse of `suite_to_json`. Raises KeyError, TypeError or ValueError on malformed data."""
    script = data.get("script")
    return TestSuite(
        cases=tuple(_case_from_json(case) for case in data.get("cases", ())),
        script=None if script is None else TestScript(script["source"], float(script["max_score"])),
        setup=data.get("setup", ""),
        forbidden_methods=tuple(data.get("forbidden_methods", ())),
        files=tuple(data.get("files", {}).items()),
    )


def _case_to_json(case: CallCase | IOCase) -> dict[str, Any]:
    if isinstance(case, IOCase):
        data: dict[str, Any] = {"stdin": case.stdin, "stdout": case.stdout}
    else:
        data = {"call": case.call, "expected": encode_value(case.expected)}
        if case.tolerance:
            data["tolerance"] = case.tolerance
        if case.types != "plain":
            data["types"] = case.types
    if case.name:
        data["name"] = case.name
    return data


def _case_from_json(data: dict[str, Any]) -> CallCase | IOCase:
    if "call" in data:
        types = data.get("types", "plain")
        if types not in get_args(TypeRule):
            raise ValueError(f"types must be one of {get_args(TypeRule)}, got {types!r}")
        return CallCase(
            call=data["call"],
            expected=decode_value(data["expected"]),
            name=data.get("name", ""),
            tolerance=float(data.get("tolerance", 0.0)),
            types=types,
        )
    return IOCase(stdin=data["stdin"], stdout=data["stdout"], name=data.get("name", ""))
