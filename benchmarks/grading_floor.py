"""The physical floor of grading in a process of its own, and of grading in one process.

    python -S -s -P -B grading_floor.py once|afresh|in-process

Reads the submissions of a chunk on stdin, runs them one after the other, writes what they cost.

once, afresh: for each submission a pipe and a fork. The child unmarshals the program and its
    compiled test calls, compiles the program, executes it (`once` for all calls, or `afresh` for
    each, as the grader does; a run with stdin is always a fresh execution), evaluates each call,
    writes the reprs, or what was printed, into the pipe, and ends. The parent reads to the end
    and waits for the child. Included: page faults of the child, compiling, the program itself.
    Left out: talking to a supervisor, limits, isolation, an answer that can be trusted, tracebacks,
    folders, comparing.
in-process: the same without a pipe and a fork, and with the test calls as texts: compile and eval.
    The whole chunk runs in one forked copy, so that no program can harm the next chunk.

The interpreter has imported as little as a zygote does, has compiled and run a little before, and
has its objects frozen (`gc.freeze`). The cost is CPU time, user and system, of this process and
of all it forked, and wall clock.
"""

from __future__ import annotations

import gc
import io
import marshal
import posix
import random
import resource
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, TypeAlias

    Cases: TypeAlias = list[tuple[str, str, bytes]]
    Cost: TypeAlias = tuple[int, float, float]


def execute(program: CodeType, setup: CodeType | None) -> dict[str, Any]:
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    if setup is not None:
        exec(setup, names)
    exec(program, names)
    return names


def answers(
    code: str, setup: CodeType | None, cases: Cases, afresh: bool, as_text: bool
) -> list[str]:
    """Return one text a case."""
    found: list[str] = []
    program = compile(code, "<program>", "exec", 0, True)
    names = None
    for kind, text, compiled in cases:
        random.seed(0)
        sys.stdin = io.StringIO(text if kind == "io" else "")
        sys.stdout = printed = io.StringIO()
        try:
            if names is None or afresh or kind == "io":
                names = execute(program, setup)
            if kind == "io":
                found.append(printed.getvalue())
            elif as_text:
                found.append(repr(eval(compile(text, "<test>", "eval", 0, True), names)))
            else:
                found.append(repr(eval(marshal.loads(compiled), names)))
        except BaseException as error:
            found.append(type(error).__name__)
    return found


def forked(request: bytes, afresh: bool) -> int:
    """Run one request in a child; return how many cases it answered."""
    reader, writer = posix.pipe()
    pid = posix.fork()
    if pid == 0:
        try:
            code, setup, cases = marshal.loads(request)
            found = answers(code, setup, cases, afresh, False)
        except BaseException as error:
            found = [type(error).__name__]
        data = "\n".join(map(repr, found)).encode("utf-8", "replace")
        while data:
            data = data[posix.write(writer, data) :]
        posix._exit(0)
    posix.close(writer)
    parts = []
    while part := posix.read(reader, 65_536):
        parts.append(part)
    posix.close(reader)
    posix.waitpid(pid, 0)
    return len(b"".join(parts).split(b"\n"))


def in_process(requests: list[bytes]) -> Cost:
    """Run all requests in one forked copy; return how many cases were answered, CPU and wall."""
    reader, writer = posix.pipe()
    pid = posix.fork()
    if pid == 0:
        count = 0
        started, cpu = time.perf_counter(), time.process_time()
        for request in requests:
            try:
                code, setup, cases = marshal.loads(request)
                count += len(answers(code, setup, cases, False, True))
            except BaseException:
                count += 1
        mine = (count, time.process_time() - cpu, time.perf_counter() - started)
        posix.write(writer, marshal.dumps(mine))
        posix._exit(0)
    posix.close(writer)
    cost: Cost = marshal.loads(posix.read(reader, 65_536))
    posix.close(reader)
    posix.waitpid(pid, 0)
    return cost


def cpu_seconds() -> float:
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def serve(how: str) -> None:
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while size := source.read(8):
        requests = marshal.loads(source.read(int.from_bytes(size, "big")))
        if how == "in-process":
            cost = in_process(requests)
        else:
            cpu, started = cpu_seconds(), time.perf_counter()
            count = sum(forked(request, how == "afresh") for request in requests)
            cost = (count, cpu_seconds() - cpu, time.perf_counter() - started)
        sink.write(marshal.dumps(cost))
        sink.flush()


def warm_up() -> None:
    call = marshal.dumps(compile("f([1])", "<test>", "eval"))
    code = "import random\ndef f(x):\n    return [i for i in x]\nprint(f([1]))\n"
    kept = sys.stdin, sys.stdout
    for as_text in (True, False):
        cases: Cases = [("call", "f([1])", call), ("io", "a\n", b"")]
        answers(code, None, cases, True, as_text)
    sys.stdin, sys.stdout = kept


warm_up()
gc.collect()
gc.freeze()
serve(sys.argv[1])
