"""Grading by a teacher's test script, FalconCode's way (`cs110.autograder`, see cs110.py).

The script runs in a child of its own; each question it asks about the student's program is
answered from here, by running that program in another child. What the script prints is the
verdict's message, ended by FalconCode's line "Unit Test Returned: <points>".

Grade: what `test_passed()` returns, rounded to six decimals because scripts add up floats, over
the suite's `max_score`, as exact decimal numbers, kept within [0, 1]. None counts as 0; of a tuple
the first item counts, the others are flags and are listed. The outcome is correct at full grade;
otherwise compile where the program does not compile, else the gravest of the runs the script asked
for, else logical. Scripts that draw random inputs draw the same ones every time.

A script that raises before it asked anything is the teacher's fault: GraderError. One that raises
afterwards stumbled over what the student's program said (it may index a line that was never
printed): grade 0, with what was printed so far.
"""

from __future__ import annotations

import ast
import marshal
import re
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from novicegym.courses.model import Assignment
from novicegym.courses.suite import TestScript
from novicegym.errors import GraderError
from novicegym.grading.canonical import Opaque, decode
from novicegym.grading.judge import (
    BROKE_OUT,
    MALFORMED,
    Plan,
    clean,
    overall,
    read_lines,
    read_value,
)
from novicegym.grading.limits import Limits
from novicegym.grading.pool import TRIES, Pool, WorkerDiedError
from novicegym.grading.python.request import program_request
from novicegym.grading.runner import Run
from novicegym.grading.verdict import Outcome, Verdict

_SCRIPT_CPU_SECONDS = 5.0
_SCRIPT_WALL_SECONDS = 120.0
_MAX_QUESTIONS = 500
_PROGRAM_NAME = re.compile(r"[\w-]+\.py")
_TIMED_OUT = (
    "Timed out. This happens when your program asks for more inputs than the test provides, "
    "or when it has a loop that does not end."
)


class RunProgram(Protocol):
    """Runs a request in a child; None when that broke its zygote every time."""

    def __call__(self, request: bytes, /) -> Run | None: ...


@dataclass(slots=True)
class _Answers:
    """Answers one script's questions about one program."""

    plan: Plan
    code: str
    limits: Limits
    run_program: RunProgram
    compile_error: str | None
    outcomes: list[Outcome] = field(default_factory=list)
    lasting: bool = True
    asked: int = 0

    def __call__(self, reply: bytes) -> bytes:
        lines = read_lines(reply)
        if not lines or lines[-1][0] != "ask" or self.asked >= _MAX_QUESTIONS:
            return b""
        self.asked += 1
        return marshal.dumps(self._answer(*decode(lines[-1][1])))

    def _answer(self, kind: str, name: str, *rest: Any) -> Any:
        if kind == "compiles":
            return self.compile_error is None
        if kind == "run":
            output, error = self._run(name, ("io", rest[0]))[1:]
            return output, error
        tree, printed, error = self._run("", ("use", name, *rest))
        if error:
            return "error", error, printed
        try:
            value = read_value(tree)
        except (ValueError, RecursionError, OverflowError):
            return "error", MALFORMED, printed
        if isinstance(value, Opaque):
            return ("missing" if value.kind == "missing" else "object"), value.kind, printed
        try:
            marshal.dumps(value)
        except ValueError:  # an opaque object somewhere inside
            return "object", type(value).__name__, printed
        return "value", value, printed

    def _run(self, name: str, call: tuple[Any, ...]) -> tuple[Any, str, str]:
        """Run the program once; return (value's tree, what it printed, its error)."""
        code = dict(self.plan.suite.files).get(name, self.code)
        if self.compile_error is not None and code is self.code:
            return None, "", self.compile_error
        run = self.run_program(program_request(self.plan.prepared, code, self.limits, (call,)))
        if run is None:
            self.outcomes.append("refused")
            self.lasting = False
            return None, "", BROKE_OUT
        if run.end != "exit":
            self.lasting = self.lasting and run.end != "wall"
            self.outcomes.append("timeout")
            return None, "", _TIMED_OUT
        match read_lines(run.reply):
            case [["case", tree, str(output), bool(), str(said), failure], *_]:
                pass
            case [["forbidden", str(method), int(number)], *_]:
                return None, "", f"line {number}: this assignment does not allow .{method}(...)"
            case _:
                self.outcomes.append("runtime")
                return None, "", MALFORMED
        if not isinstance(failure, list) or len(failure) != 2:
            return tree, output, clean(said)
        self.outcomes.append("memory" if failure[0] == "memory" else "runtime")
        return tree, output, clean(said + str(failure[1]))


def grade_script(
    assignment: Assignment,
    plan: Plan,
    code: str,
    limits: Limits,
    run_program: RunProgram,
    scripts: Pool,
) -> tuple[Verdict, bool]:
    """Return the verdict by the assignment's script, and whether it may be remembered.

    Raises GraderError, naming the assignment, for a script that is itself broken.
    """
    script = plan.suite.script
    assert script is not None
    compile_error = _compile_error(plan, code, limits, run_program)
    request = _script_request(assignment, plan, script, code, limits)
    for number in range(TRIES):
        answers = _Answers(plan, code, limits, run_program, compile_error)
        try:
            with scripts.lend(fresh=number > 0) as worker:
                run = worker.run(request, _SCRIPT_CPU_SECONDS, _SCRIPT_WALL_SECONDS, answers)
        except WorkerDiedError:
            continue
        return _verdict(assignment, script, run, answers), answers.lasting and run.end != "wall"
    raise GraderError(f"assignment {assignment.id!r}: the test script ends its grading process")


def _compile_error(plan: Plan, code: str, limits: Limits, run_program: RunProgram) -> str | None:
    run = run_program(program_request(plan.prepared, code, limits, ()))
    if run is None or run.end != "exit":
        return "the program cannot be compiled within the limits"
    match read_lines(run.reply):
        case [["compile", str(message)], *_]:
            return clean(message)
    return None


def _script_request(
    assignment: Assignment, plan: Plan, script: TestScript, code: str, limits: Limits
) -> bytes:
    """Return the request that runs the script, beside its files and the student's program.

    The program lies there under every name ending in .py that the script mentions, to be read,
    and can be imported under these; where it mentions none, under every module name that is nobody
    else's. Imports run it apart. A script that runs the text it reads, by `exec`, trusts the
    student.

    Raises GraderError for a script that does not compile, or imports what is not there.
    """
    try:
        tree = ast.parse(script.source)
    except (SyntaxError, ValueError) as error:
        raise GraderError(
            f"assignment {assignment.id!r}: the test script does not compile: {error}"
        ) from None
    given = dict(plan.suite.files)
    programs: set[str] = set()
    modules: set[str] = set()
    for node in ast.walk(tree):
        modules.update(_imported(node))
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and _PROGRAM_NAME.fullmatch(text):
            programs.add(text)
    modules = {
        name
        for name in modules | {program.removesuffix(".py") for program in programs}
        if name.partition(".")[0] not in sys.stdlib_module_names | {"cs110"}
        and f"{name}.py" not in given
    }
    names = {program.removesuffix(".py") for program in programs - set(given)}
    if names:
        strangers = {name for node in tree.body for name in _imported(node)} & modules - names
        if strangers:
            raise GraderError(
                f"assignment {assignment.id!r}: the test script imports "
                f"{', '.join(sorted(strangers))}, which is not here: it can import Python's own "
                "library, .py files of the suite, and the student's program as "
                f"{' or '.join(sorted(names))}"
            )
        modules &= names
    files = (*plan.suite.files, *((name, code) for name in sorted(programs - set(given))))
    return marshal.dumps(
        (
            "script",
            script.source,
            files,
            tuple(sorted(modules)),
            limits.output_bytes,
            limits.reply_bytes,
        )
    )


def _imported(node: ast.AST) -> list[str]:
    """Return the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def _verdict(assignment: Assignment, script: TestScript, run: Run, answers: _Answers) -> Verdict:
    lines = read_lines(run.reply)
    worst = overall(["logical", *answers.outcomes])
    if answers.compile_error is not None and worst != "refused":
        worst = "compile"
    match lines[-1] if lines else None:
        case ["result", tree, str(printed), failure, bool(consulted)]:
            pass
        case _ if answers.asked:
            return Verdict(Fraction(0), "timeout", message="The tests did not finish in time.")
        case _:
            raise GraderError(
                f"assignment {assignment.id!r}: the test script does not finish within "
                f"{_SCRIPT_CPU_SECONDS:g} seconds"
            )
    if failure is not None:
        by_student, reason = failure
        if not consulted:
            raise GraderError(f"assignment {assignment.id!r}: the test script fails: {reason}")
        what = "" if by_student else "The tests could not read what your program gave.\n"
        message = f"{printed}{what}{clean(reason)}\nUnit Test Returned: 0"
        return Verdict(Fraction(0), worst, message=message)
    points, flags = _points(assignment, decode(tree))
    grade = Fraction(str(points)) / Fraction(str(script.max_score))
    grade = min(max(grade, Fraction(0)), Fraction(1))
    message = f"{printed}{flags}Unit Test Returned: {points}"
    return Verdict(grade, "correct" if grade == 1 else worst, message=clean(message))


def _points(assignment: Assignment, returned: Any) -> tuple[int | float, str]:
    """Return the points and a line naming the flags, if any."""
    flags = ""
    if isinstance(returned, (tuple, list)) and returned:
        returned, *rest = returned
        flags = "".join(f"Flag: {flag}\n" for flag in rest)
    if returned is None:
        return 0, flags
    if isinstance(returned, (int, float)) and returned == returned and abs(returned) < 1e300:
        return (int(returned) if isinstance(returned, bool) else round(returned, 6)), flags
    raise GraderError(
        f"assignment {assignment.id!r}: test_passed() must return points, it returned {returned!r}"
    )
