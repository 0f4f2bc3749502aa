"""What a child that runs Python programs is sent: marshalled data, calls compiled once a suite."""

from __future__ import annotations

import marshal
from dataclasses import dataclass
from typing import Any

from novicegym.courses.model import Assignment
from novicegym.courses.suite import IOCase
from novicegym.errors import GraderError
from novicegym.grading.limits import Limits


@dataclass(frozen=True, slots=True)
class Prepared:
    """A suite's code, compiled, without its expected answers."""

    setup: Any
    files: tuple[tuple[str, str], ...]
    forbidden_methods: tuple[str, ...]
    calls: tuple[tuple[Any, ...], ...]


def prepare(assignment: Assignment) -> Prepared:
    """Compile a suite's calls and setup. Raises GraderError when one does not compile."""
    suite = assignment.tests
    calls: list[tuple[Any, ...]] = []
    for number, case in enumerate(suite.cases, 1):
        if isinstance(case, IOCase):
            calls.append(("io", case.stdin))
        else:
            code = _compile(assignment, case.call.strip(), "eval", f"test {number}")
            calls.append(("call", marshal.dumps(code)))
    setup = _compile(assignment, suite.setup, "exec", "setup") if suite.setup else None
    return Prepared(setup, suite.files, suite.forbidden_methods, tuple(calls))


def _compile(assignment: Assignment, source: str, mode: str, what: str) -> Any:
    try:
        return compile(source, "<test>", mode, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise GraderError(
            f"assignment {assignment.id!r}: {what} does not compile: {source!r}: {error}"
        ) from None


def program_request(
    prepared: Prepared, code: str, limits: Limits, calls: tuple[tuple[Any, ...], ...]
) -> bytes:
    """Return the request that runs `code` on `calls`: the suite's own, or one a script makes."""
    return marshal.dumps(
        (
            "program",
            code,
            prepared.setup,
            prepared.files,
            prepared.forbidden_methods,
            calls,
            limits.output_bytes,
            limits.reply_bytes // max(1, len(calls)),
        )
    )


HARMLESS = marshal.dumps(("program", "", None, (), (), (("io", ""),), 1, 1_000))
"""A request that any working zygote carries out."""
