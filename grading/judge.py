"""From a suite and a program to a request, and from the child's reply to a verdict.

Nothing here starts a process. The outcome of a whole submission is the gravest among its cases:
refused, timeout, memory, runtime, logical; correct only when every case passed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite, suite_to_json
from novicegym.errors import GraderError
from novicegym.grading.canonical import Opaque, decode
from novicegym.grading.compare import equal_output, equal_values
from novicegym.grading.runner import Run, Runner
from novicegym.grading.verdict import CaseResult, Outcome, Verdict
from novicegym.grading.work_folder import WORK_PREFIX

_GRAVITY: tuple[Outcome, ...] = ("refused", "timeout", "memory", "runtime", "logical")
_SHOWN_CHARS = 2_000
_SHORT, _KNOWN = 300, 2_000
_CASE = b'["case",'
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
_HOST_FOLDERS = sorted(
    {os.path.dirname(os.path.realpath(os.__file__)), os.path.dirname(os.__file__)}, key=len
)
_PATH = re.compile("|".join(re.escape(folder) + "/?" for folder in reversed(_HOST_FOLDERS)))
# Each pattern opens with fixed text: a program that prints 64 KB of "/" must not hold us up.
_WORK_FOLDER = re.compile(re.escape(os.path.join(tempfile.gettempdir(), WORK_PREFIX)) + r"\w+")
_TIMEOUT = "the program did not finish within its time limit"
BROKE_OUT = "the program broke the sandbox it ran in"
MALFORMED = "the program ended without a proper answer"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A suite made ready: what a child is told, expected answers as text, its hash."""

    suite: TestSuite
    digest: bytes
    prepared: Any
    """What the runner made of it; no expected answer."""
    shown: tuple[tuple[str, str, str], ...]
    """(name, call, expected) of each case, as text."""
    show: Callable[[Any], str]
    """Writes a value in the assignment's language."""
    known: dict[tuple[int, bytes], CaseResult] = field(default_factory=dict)
    """What short lines said of the cases: most programs say what another said before."""


def make_plan(assignment: Assignment, runner: Runner) -> Plan:
    """Prepare an assignment's suite. Raises GraderError when the teacher's code is broken."""
    suite = assignment.tests
    try:
        text = json.dumps(suite_to_json(suite), sort_keys=True)
    except TypeError as error:
        raise GraderError(f"assignment {assignment.id!r}: {error}") from None
    shown = []
    for number, case in enumerate(suite.cases, 1):
        name = case.name or f"test {number}"
        if isinstance(case, IOCase):
            # The line end tells feedback that this is input and no call.
            given = case.stdin + "\n" if case.stdin and case.stdin[-1] != "\n" else case.stdin
            shown.append((name, given, case.stdout))
        else:
            shown.append((name, case.call.strip(), runner.show(case.expected)))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return Plan(suite, digest, runner.prepare(assignment), tuple(shown), runner.show)


def read_lines(reply: bytes) -> list[list[Any]] | None:
    """Return the lines of a reply as parsed JSON arrays; None when it is malformed.

    The child is hostile: whatever it sends, this returns.
    """
    lines = []
    for text in reply.split(b"\n")[:-1]:  # what follows the last line end was cut off
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(line, list) or not line:
            return None
        lines.append(line)
    return lines


def judge(plan: Plan, run: Run) -> Verdict:
    """Return the verdict on a run of all the plan's calls.

    A run that ended early, at a limit or by a crash, fails the case it was in and all after it.
    """
    lines = run.reply.split(b"\n")[:-1]  # what follows the last line end was cut off
    others = [line for line in lines if not line.startswith(_CASE)]
    said = read_lines(b"".join(line + b"\n" for line in others))
    if said is None:
        return whole_program(plan, "refused", MALFORMED)
    if others and others[0] is lines[0] and run.end == "exit":
        match said[0]:
            case ["compile", str(message)]:
                return whole_program(plan, "compile", clean(message[:_SHOWN_CHARS]))
            case ["forbidden", str(name), int(number)] if name in plan.suite.forbidden_methods:
                message = f"line {number}: this assignment does not allow .{name}(...)"
                return whole_program(plan, "logical", message)
    # At a limit the child was still at work: it can't have finished all, whatever it says.
    wanted = len(plan.shown) if run.end == "exit" else len(plan.shown) - 1
    answered = [line for line in lines[:wanted] if line.startswith(_CASE)]
    try:
        results = [
            plan.known.get((number, line)) or _case_result(plan, number, line)
            for number, line in enumerate(answered)
        ]
    except ValueError:
        return whole_program(plan, "refused", MALFORMED)
    outcome, error = _early_end(run)
    for name, call, expected in plan.shown[len(results) :]:
        results.append(CaseResult(name, False, outcome, call, _shorten(expected), "", error))
    grade = Fraction(sum(r.passed for r in results), len(results))
    return Verdict(grade, overall([r.outcome for r in results]), tuple(results))


def _case_result(plan: Plan, number: int, line: bytes) -> CaseResult:
    """Return what a line says of a case. Raises ValueError when it is malformed JSON."""
    parsed = read_lines(line + b"\n")
    if parsed is None:
        raise ValueError("malformed reply")
    name, call, expected = plan.shown[number]
    passed, outcome, actual, error = _judge_case(plan.suite.cases[number], parsed[0], plan.show)
    said = CaseResult(name, passed, outcome, call, _shorten(expected), _shorten(actual), error)
    if len(line) < _SHORT and len(plan.known) < _KNOWN:
        plan.known[number, line] = said
    return said


def overall(outcomes: list[Outcome]) -> Outcome:
    """Return the gravest outcome; "correct" when there is nothing else."""
    return next((o for o in _GRAVITY if o in outcomes), "correct")


def whole_program(plan: Plan, outcome: Outcome, message: str) -> Verdict:
    """Return the verdict on a program none of whose cases could be run."""
    results = tuple(
        CaseResult(name, False, outcome, call, _shorten(expected))
        for name, call, expected in plan.shown
    )
    return Verdict(Fraction(0), outcome, results, message)


def _early_end(run: Run) -> tuple[Outcome, str]:
    """Say why the cases without a reply have none."""
    if run.end != "exit":
        return "timeout", _TIMEOUT
    if run.overflow:
        return "refused", "the program answered more than it may"
    if run.status & 0x7F:
        number = run.status & 0x7F
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        return "runtime", f"the program crashed ({name})"
    return "runtime", "the program ended before it had answered"


def _judge_case(
    case: CallCase | IOCase, line: list[Any], show: Callable[[Any], str]
) -> tuple[bool, Outcome, str, str]:
    """Return (passed, outcome, actual, error) of one line of the reply."""
    match line:
        case ["case", tree, str(output), bool(cut), str(), None | [str(), str()] as failure]:
            pass
        case _:
            return False, "refused", "", MALFORMED
    error = "" if failure is None else clean(failure[1][:_SHOWN_CHARS])
    outcome: Outcome = "correct"
    if failure is not None:
        outcome = "memory" if failure[0] == "memory" else "runtime"
    if isinstance(case, IOCase):
        passed = failure is None and not cut and equal_output(output, case.stdout)
        actual = output
    elif failure is not None:
        passed, actual = False, ""
    else:
        try:
            value = read_value(tree, case.expected)
            passed = equal_values(value, case.expected, tolerance=case.tolerance, types=case.types)
            actual = show(value)
        except (ValueError, RecursionError, OverflowError):
            return False, "refused", "", MALFORMED
    if failure is None and not passed:
        outcome = "logical"
    return passed, outcome, actual, error


def read_value(tree: Any, expected: Any = None) -> Any:
    """Return the value a child sent. Raises ValueError, RecursionError or OverflowError.

    A set or dict with far more members than `expected` is opaque.
    """
    return Opaque("too large") if _huge(tree, expected) else decode(tree)


def _huge(tree: Any, expected: Any) -> bool:
    """Whether a set or dict holds far more than any expected answer.

    Building it here could be made slow on purpose, by members whose hashes collide.
    """
    room = [2_000 + 2 * _members(expected)]

    def walk(node: Any) -> bool:
        if isinstance(node, list) and node:
            if node[0] in ("s", "z", "d"):
                room[0] -= len(node)
                if room[0] < 0:
                    return True
            return any(walk(item) for item in node)
        return False

    return walk(tree)


def _members(value: Any) -> int:
    if isinstance(value, dict):
        return 2 * len(value) + sum(map(_members, value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return len(value) + sum(map(_members, value))
    return 0


def show_value(value: Any) -> str:
    """Return the value as Python writes it, sets in a fixed order."""
    try:
        return _show(value)
    except ValueError:  # an int of more digits than Python converts
        return "<a number too long to show>"


def _show(value: Any) -> str:
    kind = type(value)
    if kind is list:
        return "[" + ", ".join(map(_show, value)) + "]"
    if kind is tuple:
        return "(" + ", ".join(map(_show, value)) + (",)" if len(value) == 1 else ")")
    if kind is dict:
        return "{" + ", ".join(f"{_show(k)}: {_show(v)}" for k, v in value.items()) + "}"
    if kind in (set, frozenset):
        inner = "{" + ", ".join(sorted(map(_show, value))) + "}" if value else "set()"
        return inner if kind is set else f"frozenset({inner if value else ''})"
    return repr(value)


def _shorten(text: str) -> str:
    text = clean(text)
    if len(text) <= _SHOWN_CHARS:
        return text
    return f"{text[:_SHOWN_CHARS]}... ({len(text)} characters)"


def clean(text: str) -> str:
    """Return a text without memory addresses and without this machine's folders."""
    return _WORK_FOLDER.sub("/sandbox", _PATH.sub("", _ADDRESS.sub("0x...", text)))
