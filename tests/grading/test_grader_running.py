"""How programs are run: in streams, asynchronously, twice, within limits, on a busy machine."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite
from novicegym.errors import GraderError
from novicegym.grading import grader as grader_module
from novicegym.grading.grader import Grader, Limits
from novicegym.grading.rungs import LAYERS
from novicegym.grading.store import VerdictStore
from novicegym.grading.verdict import Verdict

DOUBLE = Assignment("double", "", "", TestSuite(cases=(CallCase("f(3)", 6),)))
RIGHT = "def f(x): return 2 * x\n"
BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
UNSTEADY = "import os\ndef f(x): return os.urandom(8)\n"


def test_a_stream_keeps_the_order_and_takes_few_requests_ahead() -> None:
    taken = 0

    def requests() -> Iterator[tuple[Assignment, str]]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield DOUBLE, f"def f(x): return {number}"

    with Grader(workers=2) as grader:
        stream = grader.grade_stream(requests())
        answers = [verdict.cases[0].actual for verdict in itertools.islice(stream, 200)]
        assert answers == [str(number) for number in range(200)]
        assert taken <= 200 + 64 * 2
        stream.close()  # type: ignore[attr-defined]
        assert grader.grade(DOUBLE, RIGHT).correct


def test_an_error_in_the_requests_ends_the_stream_at_its_place() -> None:
    def requests() -> Iterator[tuple[Assignment, str]]:
        yield DOUBLE, RIGHT
        raise KeyError("no such row")

    before = threading.active_count()
    with Grader(workers=2) as grader:
        with pytest.raises(KeyError, match="no such row"):
            list(grader.grade_stream(requests()))
        assert threading.active_count() == before


def test_equal_requests_run_once() -> None:
    with Grader(workers=2) as grader:
        verdicts = grader.grade_batch([(DOUBLE, UNSTEADY)] * 8)
    assert len({verdict.cases[0].actual for verdict in verdicts}) == 1


def test_async_grading_keeps_order_and_leaves_the_loop_free() -> None:
    async def main() -> tuple[list[str], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        with Grader(workers=2) as grader:
            programs = [f"{BURN.format(0.05)}def f(x): return {n}" for n in range(6)]
            verdicts = await asyncio.gather(*(grader.grade_async(DOUBLE, p) for p in programs))
        ticking.cancel()
        return [verdict.cases[0].actual for verdict in verdicts], ticks

    answers, ticks = asyncio.run(main())
    assert answers == list("012345")
    assert ticks > 5


def test_a_cancelled_call_returns_at_once_and_its_program_runs_to_its_end() -> None:
    async def main() -> tuple[float, float]:
        with Grader(workers=1, limits=Limits(wall_seconds=1.0)) as grader:
            await grader.grade_async(DOUBLE, RIGHT)
            started = time.monotonic()
            task = asyncio.create_task(grader.grade_async(DOUBLE, "import time; time.sleep(60)"))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled = time.monotonic() - started
            assert (await grader.grade_async(DOUBLE, RIGHT + "#")).correct
            return cancelled, time.monotonic() - started

    cancelled, graded = asyncio.run(main())
    assert cancelled < 0.9 <= graded


def test_a_program_that_does_not_repeat_itself_is_flagged_on_request() -> None:
    steady = ("def f(x): return 2 * x", "import random\ndef f(x): return random.random()", "1 +")
    changing = (UNSTEADY, "import time\ndef f(x): return time.time_ns()")
    with Grader(workers=1, twice=True) as grader:
        assert [grader.grade(DOUBLE, code).stable for code in steady] == [True] * 3
        assert [grader.grade(DOUBLE, code).stable for code in changing] == [False] * 2
        first, second = (grader.grade(DOUBLE, UNSTEADY) for _ in range(2))
        assert first != second  # not remembered
    with Grader(workers=1) as grader:
        assert grader.grade(DOUBLE, UNSTEADY).stable


def test_the_cpu_limit_comes_from_the_first_solution() -> None:
    def assignment(seconds: float) -> Assignment:
        return Assignment(
            "a", "", "", DOUBLE.tests, solutions=(BURN.format(seconds) + RIGHT, "while 1: pass")
        )

    program = BURN.format(0.3) + RIGHT
    with Grader(workers=1) as grader:
        assert grader.grade(assignment(0.0), program).outcome == "timeout"
        assert grader.grade(assignment(0.04), program).correct
        assert grader.grade(DOUBLE, program).correct  # no solution: half a second
        assert grader.grade(DOUBLE, BURN.format(0.8) + RIGHT).outcome == "timeout"


def test_a_busy_machine_changes_no_verdict() -> None:
    programs = {
        BURN.format(0.06) + RIGHT: "correct",
        "import time\ntime.sleep(0.1)\n" + RIGHT: "correct",
        "import time\nwhile True: time.sleep(0.02)": "timeout",
        "while True: pass": "timeout",
        RIGHT: "correct",
    }
    limits = Limits(cpu_seconds=0.1, wall_seconds=0.4)

    def outcomes() -> list[str]:
        with Grader(workers=2, limits=limits) as grader:
            verdicts = grader.grade_batch([(DOUBLE, code) for code in programs])
        return [verdict.outcome for verdict in verdicts]

    assert outcomes() == [*programs.values()]
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(16)]
    try:
        loaded = outcomes()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert loaded == [*programs.values()]


def test_a_language_without_a_runner_is_an_error_that_names_those_there_are() -> None:
    cobol = Assignment("a", "", "", TestSuite(cases=(IOCase("", ""),)), language="cobol")
    with (
        Grader(workers=1) as grader,
        pytest.raises(GraderError, match=r"'cobol'.*javascript, pyt") as told,
    ):
        grader.grade(cobol, "")
    assert "novicegym.grading.grader.RUNNERS takes others" in str(told.value)


def test_a_language_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seam is the Runner protocol: here Python with another word for print."""
    from novicegym.grading.python.runner import PythonRunner
    from novicegym.grading.runner import Run

    class EchoRunner(PythonRunner):
        def run(self, prepared: object, code: str, cpu_seconds: float) -> Run | None:
            return super().run(prepared, code.replace("echo", "print"), cpu_seconds)  # type: ignore[arg-type]

    monkeypatch.setitem(grader_module.RUNNERS, "echo", EchoRunner)
    assignment = Assignment("a", "", "", TestSuite(cases=(IOCase("", "hi"),)), language="echo")
    with Grader(workers=1) as grader:
        assert grader.grade(assignment, "echo('hi')").correct


NO_NAMESPACES = LAYERS - {"pid", "net", "ipc", "uts", "mount", "user"}


def test_zygotes_outlive_the_threads_of_a_batch() -> None:
    with Grader(workers=2, layers=NO_NAMESPACES) as grader:
        assert all(
            v.correct for v in grader.grade_batch([(DOUBLE, f"{RIGHT}#{n}") for n in "abcd"])
        )
        before = _children()
        assert grader.grade(DOUBLE, RIGHT).correct
        assert _children() == before


def test_workers_that_others_ended_are_not_blamed_on_a_program() -> None:
    before = _children()
    with Grader(workers=2) as grader:
        grader.grade_batch([(DOUBLE, f"{RIGHT}#{n}") for n in range(8)])
        for pid in _children() - before:
            os.kill(pid, signal.SIGKILL)
        assert grader.grade(DOUBLE, RIGHT).correct
        assert all(v.correct for v in grader.grade_batch([(DOUBLE, f"{RIGHT}##{n}") for n in "ab"]))


def test_a_verdict_on_disk_counts_only_under_the_isolation_it_was_given_in(tmp_path: Path) -> None:
    code = "import threading\nthreading.Thread(target=print).start()\n" + RIGHT
    weak = LAYERS - {"uid", "user", "processes"}
    outcomes = []
    for layers in (weak, LAYERS, weak):
        store = VerdictStore(tmp_path / "verdicts.sqlite")
        with Grader(workers=1, layers=layers, store=store, require="limits-only") as grader:
            if layers is LAYERS and "processes" not in grader.isolation:
                pytest.skip("no limit on processes here")
            outcomes.append(grader.grade(DOUBLE, code).outcome)
            if len(outcomes) == 3:
                assert store.stats().entries == 2
    assert outcomes[1] == "runtime"
    assert outcomes[0] == outcomes[2]


def test_a_solution_and_a_program_cannot_be_mistaken_for_one_program() -> None:
    solution, program = "def f(x): return x + x", RIGHT
    with_solution = Assignment("a", "", "", DOUBLE.tests, solutions=(solution,))
    with Grader(workers=1) as grader:
        assert grader.grade(DOUBLE, f"{solution}\0{program}").outcome == "compile"
        assert grader.grade(with_solution, program).correct


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("while True: pass", "time limit"),
        ("def f(x) return x", "SyntaxError"),
        ("def g(): pass", "NameError"),
    ],
)
def test_a_solution_that_fails_its_tests_is_an_error_that_says_so(
    solution: str, reason: str
) -> None:
    wrong = Assignment("a", "", "", DOUBLE.tests, solutions=(solution,))
    with Grader(workers=1) as grader, pytest.raises(GraderError, match="first solution") as told:
        grader.grade(wrong, RIGHT)
    assert reason in str(told.value)


def test_one_threads_interrupt_is_not_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    started, waiting = threading.Event(), threading.Event()
    original = Grader._run

    def run(self: Grader, *arguments: Any) -> Any:
        if not started.is_set():
            started.set()
            waiting.wait(10)
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Grader, "_run", run)
    verdicts: list[Verdict] = []
    with Grader(workers=2) as grader:
        interrupted = threading.Thread(target=lambda: _ignore_interrupt(grader))
        interrupted.start()
        started.wait(10)
        other = threading.Thread(target=lambda: verdicts.append(grader.grade(DOUBLE, RIGHT)))
        other.start()
        time.sleep(0.1)
        waiting.set()
        interrupted.join()
        other.join()
    assert [verdict.correct for verdict in verdicts] == [True]


def _ignore_interrupt(grader: Grader) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        grader.grade(DOUBLE, RIGHT)


def test_folders_too_deep_to_remove_raise_nothing_and_stay_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import os\nfor i in range(3000):\n os.mkdir('d')\n os.chdir('d')\n" + RIGHT
    for layers in (LAYERS, LAYERS - {"mount"}, NO_NAMESPACES):
        with Grader(workers=1, layers=layers) as grader:
            grader.grade(DOUBLE, code)
            assert grader.grade(DOUBLE, RIGHT).correct
        assert list(tmp_path.iterdir()) == []


def test_a_flood_of_a_reply_is_refused_at_once() -> None:
    code = (
        "import os\nwhile True:\n for i in range(3, 9):\n"
        "  try: os.write(i, b'[' * 65536)\n  except OSError: pass\n"
    )
    started = time.monotonic()
    with Grader(workers=1, limits=Limits(cpu_seconds=1.0, wall_seconds=9.0)) as grader:
        verdict = grader.grade(DOUBLE, code)
    assert verdict.outcome in ("refused", "timeout")
    assert time.monotonic() - started < 5


def _children() -> set[int]:
    tasks = Path(f"/proc/{os.getpid()}/task")
    return {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
