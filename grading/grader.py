"""The grader: give it an assignment and a program, get a verdict.

    with Grader() as grader:
        verdict = grader.grade(assignment, code)
        verdicts = grader.grade_batch([(assignment, code), ...])
        for verdict in grader.grade_stream(requests): ...       # requests may be endless
        verdict = await grader.grade_async(assignment, code)

The program runs in a locked-down process of its own (zygote.py), in the language of its
assignment (runner.py); the expected answers and the comparison stay here (judge.py). A verdict
depends only on the suite, the code, the limits, the versions of grader and language and the
layers of isolation in force, and is remembered under their hash, in memory and on disk
(store.py). A hostile or broken program is a verdict; GraderError means that the grader itself
could not do its work, or that the isolation it has here is below the required rung (rungs.py).
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import hashlib
import importlib
import os
import reprlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase
from novicegym.errors import GraderError
from novicegym.grading.judge import BROKE_OUT, Plan, judge, make_plan, whole_program
from novicegym.grading.limits import Limits
from novicegym.grading.rungs import LAYERS, Rung, required_rung, rung_of
from novicegym.grading.runner import MakeRunner, Runner, ScriptRunner
from novicegym.grading.store import StoredRequest, VerdictStore, default_store
from novicegym.grading.verdict import Verdict

GRADER_VERSION = "2"
"""Raised whenever the same program may get another verdict than before."""
RUNNERS: dict[str, str | MakeRunner] = {
    "python": "novicegym.grading.python.runner:PythonRunner",
    "javascript": "novicegym.grading.javascript.runner:JavaScriptRunner",
}
"""How programs of each language are run; add your own before a Grader first needs it."""

__all__ = ["GRADER_VERSION", "RUNNERS", "Grader", "Limits", "shared_grader"]

_PLANS = 4_096
_AHEAD = 64
_CPU_WITHOUT_SOLUTION = 0.5
_CPU_FOR_SOLUTION = 10.0
_CPU_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


class Grader:
    """Grades programs on a few worker processes. Thread-safe; not usable across a fork."""

    def __init__(
        self,
        *,
        workers: int | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        cache_size: int = 100_000,
        store: VerdictStore | None = None,
        require: Rung | None = None,
        layers: frozenset[str] = LAYERS,
        twice: bool = False,
    ) -> None:
        """Start `workers` processes a language (default: one a core, two at most), lazily.

        `cache_size`: how many verdicts are remembered in memory; 0 remembers none.
        `store`: verdicts on disk, shared with other processes.
        `require`: the weakest rung of isolation to grade on; None takes NOVICEGYM_SANDBOX from
        the environment, else "no-namespaces".
        `layers`: those to install, for measurements of what each costs and stops.
        `twice`: run every program two times and mark the verdicts that differ as not stable.
        """
        if workers is None:
            workers = min(2, os.cpu_count() or 1)
        for name, number, least in (("workers", workers, 1), ("cache_size", cache_size, 0)):
            if not isinstance(number, int):
                raise TypeError(f"{name} must be a whole number, got {number!r}")
            if number < least:
                raise ValueError(f"{name} must be at least {least}, got {number}")
        if not isinstance(limits, Limits):
            raise TypeError(f"limits must be a Limits, got {limits!r}")
        if unknown := layers - LAYERS:
            raise ValueError(f"layers must be of {sorted(LAYERS)}, got {sorted(unknown)}")
        self.limits = limits
        self.workers = workers
        self._cache_size = cache_size
        self._store = store
        self._require = required_rung(require)
        self._layers = layers
        self._twice = twice
        self._cache: OrderedDict[bytes, Verdict] = OrderedDict()
        self._running: dict[bytes, Future[Verdict]] = {}
        self._plans: OrderedDict[tuple[str, int], Plan] = OrderedDict()
        self._cpu_seconds: dict[tuple[bytes, str, str], float] = {}
        self._sound_setups: set[tuple[bytes, str]] = set()
        self._runners: dict[str, Runner] = {}
        self._salts: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._pid = os.getpid()
        self._closed = False

    @property
    def isolation(self) -> tuple[str, ...]:
        """The layers of isolation that Python programs run in; may start a process to see."""
        return self._runner("python").layers

    @property
    def rung(self) -> Rung:
        """The name of the rung that these layers make, see rungs.py."""
        return rung_of(self.isolation)

    def grade(self, assignment: Assignment, code: str) -> Verdict:
        """Return the verdict on one program. Raises GraderError, never for anything in `code`."""
        if not isinstance(assignment, Assignment):
            raise TypeError(f"assignment must be an Assignment, got {reprlib.repr(assignment)}")
        if not isinstance(code, str):
            raise TypeError(f"code must be the program's text, got {reprlib.repr(code)}")
        self._check_usable()
        plan = self._plan(assignment)
        key = self._key(assignment, plan, code)
        while True:
            mine: Future[Verdict] = Future()
            try:
                with self._lock:
                    known = self._cache.get(key)
                    if known is not None:
                        self._cache.move_to_end(key)
                        return known
                    other = self._running.setdefault(key, mine)
                if other is mine:
                    verdict = self._look_up_or_run(assignment, plan, code, key)
                    mine.set_result(verdict)
                    return verdict
            except BaseException as error:
                mine.set_exception(error)
                raise
            finally:
                with self._lock:
                    if self._running.get(key) is mine:
                        del self._running[key]
            try:  # another thread is at it
                return other.result()
            except Exception:
                raise
            except BaseException:  # its interrupt is not this thread's
                continue

    def grade_stream(self, requests: Iterable[tuple[Assignment, str]]) -> Iterator[Verdict]:
        """Yield the verdicts in the order of the requests, graded on all workers at once.

        Requests are taken as they are needed, 64 a worker ahead at most: there may be more of
        them than fit in memory, and a slow consumer slows the grading down.
        """
        self._check_usable()
        waiting: deque[Future[Verdict]] = deque()
        executor = ThreadPoolExecutor(self.workers, thread_name_prefix="novicegym-grader")
        try:
            for request in requests:
                if not isinstance(request, Sequence) or len(request) != 2:
                    raise TypeError(
                        f"a request must be (assignment, code), got {reprlib.repr(request)}"
                    )
                assignment, code = request
                waiting.append(executor.submit(self.grade, assignment, code))
                if len(waiting) >= _AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # also when the consumer stops, or is interrupted
            executor.shutdown(cancel_futures=True)
            if self._store is not None:
                self._store.flush()

    def grade_batch(
        self,
        requests: Sequence[tuple[Assignment, str]],
        progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """Return the verdicts in the order of the requests, graded on all workers at once.

        `progress` is called in this thread with the number of requests done so far.
        """
        verdicts = []
        stream = self.grade_stream(requests)
        try:
            for verdict in stream:
                verdicts.append(verdict)
                if progress is not None:
                    progress(len(verdicts))
        finally:
            stream.close()  # type: ignore[attr-defined]  # it is a generator
        return verdicts

    async def grade_async(self, assignment: Assignment, code: str) -> Verdict:
        """Return the verdict on one program without holding up the event loop.

        At most `workers` programs run at once; further calls wait for their turn.
        """
        self._check_usable()
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self.workers, "novicegym-grader")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self.grade, assignment, code)

    def close(self) -> None:
        """End the processes; the grader cannot be used afterwards."""
        with self._lock:
            self._closed = True
            runners = list(self._runners.values())
        if self._executor is not None and os.getpid() == self._pid:
            self._executor.shutdown(cancel_futures=True)
        for runner in runners:
            runner.close()
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __reduce__(self) -> str:
        raise TypeError("a Grader holds processes and cannot be pickled; make one in each process")

    @property
    def usable(self) -> bool:
        """Whether it can grade: not closed, and not a copy that came about by a fork."""
        return not self._closed and os.getpid() == self._pid

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise GraderError("a Grader cannot be used after a fork; make a new one there")
        if self._closed:
            raise GraderError("the Grader is closed; make a new one")

    def _runner(self, language: str) -> Runner:
        with self._lock:
            runner = self._runners.get(language)
            if runner is None:
                if self._closed:
                    raise GraderError("the Grader is closed; make a new one")
                make = RUNNERS.get(language)
                if make is None:
                    raise GraderError(
                        f"no runner for programs in {language!r}; there is one for "
                        f"{', '.join(sorted(RUNNERS))}, and {__name__}.RUNNERS takes others"
                    )
                if isinstance(make, str):
                    module, _, name = make.partition(":")
                    make = getattr(importlib.import_module(module), name)
                runner = make(self.workers, self.limits, require=self._require, layers=self._layers)
                self._runners[language] = runner
            return runner

    def _plan(self, assignment: Assignment) -> Plan:
        suite = assignment.tests
        key = (assignment.language, id(suite))
        plan = self._plans.get(key)
        if plan is None or plan.suite is not suite:
            plan = make_plan(assignment, self._runner(assignment.language))
            with self._lock:
                self._plans[key] = plan  # holds the suite, so its id stays taken
                if len(self._plans) > _PLANS:
                    self._plans.popitem(last=False)
        return plan

    def _key(self, assignment: Assignment, plan: Plan, code: str) -> bytes:
        salt = self._salts.get(assignment.language)
        if salt is None:
            language = assignment.language
            text = f"{language} {self.version_text(language)} {self.limits} {self._twice}"
            salt = self._salts[assignment.language] = text.encode()
        # The CPU limit may come from the first solution: a verdict depends on that, too.
        solutions = assignment.solutions if self.limits.cpu_seconds is None else ()
        texts = [text.encode("utf-8", "surrogatepass") for text in (*solutions[:1], code)]
        sizes = " ".join(str(len(text)) for text in texts).encode()
        message = b"\n".join([salt, plan.digest, sizes, *texts])
        return hashlib.blake2b(message, digest_size=20).digest()

    def _look_up_or_run(self, assignment: Assignment, plan: Plan, code: str, key: bytes) -> Verdict:
        known = self._store.get(key) if self._store is not None else None
        if known is not None:
            verdict, lasting = known, True
        else:
            verdict, lasting = self._run(assignment, plan, code)
            if lasting and self._store is not None:
                version = self.version_text(assignment.language)
                self._store.put(
                    key, verdict, StoredRequest(assignment, plan.digest, code, self.limits, version)
                )
        if lasting and self._cache_size:
            with self._lock:
                self._cache[key] = verdict
                if len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return verdict

    def _run(self, assignment: Assignment, plan: Plan, code: str) -> tuple[Verdict, bool]:
        """Return the verdict, and whether it may be remembered: not after the wall limit."""
        verdict, lasting = self._run_once(assignment, plan, code)
        if not self._twice:
            return verdict, lasting
        again, lasting_again = self._run_once(assignment, plan, code)
        stable = verdict == again
        return replace(verdict, stable=stable), stable and lasting and lasting_again

    def _run_once(self, assignment: Assignment, plan: Plan, code: str) -> tuple[Verdict, bool]:
        runner = self._runner(assignment.language)
        cpu_seconds = self._cpu_limit(assignment, plan, runner)
        if plan.suite.script is not None:
            if not isinstance(runner, ScriptRunner):
                raise GraderError(
                    f"assignment {assignment.id!r}: programs in {assignment.language} cannot be "
                    "graded by a test script; write call or stdin/stdout cases"
                )
            return runner.grade_script(assignment, plan, code, cpu_seconds)
        run = runner.run(plan.prepared, code, cpu_seconds)
        if run is None:
            return whole_program(plan, "refused", BROKE_OUT), False
        return judge(plan, run), run.end != "wall"

    def _cpu_limit(self, assignment: Assignment, plan: Plan, runner: Runner) -> float:
        """Return the CPU seconds a program gets: see `Limits.cpu_seconds`."""
        given = self.limits.cpu_seconds
        if given is not None or plan.suite.script is not None or not assignment.solutions:
            self._check_setup(assignment, plan, runner)
            return max(_CPU_WITHOUT_SOLUTION, runner.cpu_floor) if given is None else given
        key = (plan.digest, assignment.language, assignment.solutions[0])
        known = self._cpu_seconds.get(key)
        if known is None:
            needed = min(self._cpu_of_solution(assignment, plan, runner) for _ in range(2)) * 10
            needed = max(needed, runner.cpu_floor)
            limit = next(step for step in _CPU_STEPS if step >= needed)
            # Threads may measure at the same time: all go by the first result.
            known = self._cpu_seconds.setdefault(key, limit)
        return known

    def _cpu_of_solution(self, assignment: Assignment, plan: Plan, runner: Runner) -> float:
        run = runner.run(plan.prepared, assignment.solutions[0], _CPU_FOR_SOLUTION)
        verdict = judge(plan, run) if run else whole_program(plan, "refused", BROKE_OUT)
        if run is None or not verdict.correct:
            failed = next(case for case in verdict.cases if not case.passed)
            reason = verdict.message or f"{failed.name}: {failed.error or failed.outcome}"
            raise GraderError(
                f"assignment {assignment.id!r}: its first solution does not pass its tests "
                f"({reason}), and the CPU limit of all programs comes from it; correct the "
                "solution or the tests, or give Limits(cpu_seconds=...)"
            )
        return run.cpu_seconds

    def _check_setup(self, assignment: Assignment, plan: Plan, runner: Runner) -> None:
        """Raise GraderError for a setup that fails by itself: every program would be blamed."""
        suite = plan.suite
        key = (plan.digest, assignment.language)
        # What a script gives a program to read is not known here, and a setup may read it.
        if not suite.setup or suite.script is not None or key in self._sound_setups:
            return
        first = suite.cases[0]
        case = IOCase(first.stdin, "") if isinstance(first, IOCase) else CallCase("0", 0)
        alone = replace(assignment, tests=replace(suite, cases=(case,)))
        trial = make_plan(alone, runner)
        run = runner.run(trial.prepared, "", _CPU_FOR_SOLUTION)
        verdict = judge(trial, run) if run else whole_program(trial, "refused", BROKE_OUT)
        if verdict.outcome not in ("correct", "logical"):  # it may print
            reason = verdict.message or verdict.cases[0].error or verdict.outcome
            raise GraderError(
                f"assignment {assignment.id!r}: its setup fails even before an empty program "
                f"({reason}), so no program could pass; correct the setup"
            )
        self._sound_setups.add(key)

    def version_text(self, language: str = "python") -> str:
        """Return what a verdict depends on beside suite, program and limits.

        The layers in force are part of it: a program may do under some what others forbid.
        """
        runner = self._runner(language)
        layers = " ".join(sorted(runner.layers))
        return f"{GRADER_VERSION} {_source_digest()} {runner.version} [{layers}]"


@functools.cache
def _source_digest() -> str:
    """Return a hash of this room's sources: no verdict outlives the code that gave it."""
    digest = hashlib.blake2b(digest_size=8)
    folder = Path(__file__).parent
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".js")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


_shared: Grader | None = None
_shared_lock = threading.Lock()


def shared_grader() -> Grader:
    """Return this process's grader, made on first use and closed at exit.

    It remembers verdicts on disk, in the default store.
    """
    global _shared
    with _shared_lock:
        if _shared is None or not _shared.usable:
            _shared = Grader(store=default_store())
            atexit.register(_close_own, _shared)
        return _shared


def _close_own(grader: Grader) -> None:
    if grader.usable:
        grader.close()


_of_the_parent: list[Grader | None] = []
"""Kept, so that nothing is ended that belongs to the parent, and never used."""


def _start_anew() -> None:
    """In a forked copy of the process: a thread may have held a lock at the fork."""
    global _shared, _shared_lock
    _of_the_parent.append(_shared)
    _shared, _shared_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
