"""The grader: give it an assignment and a program, get a verdict.

    with Grader() as grader:
        verdict = grader.grade(assignment, code)
        verdicts = grader.grade_batch([(assignment, code), ...])

The student's code runs in a forked, locked-down child of a warm zygote (zygote.py); the expected
answers and the comparison stay here (judge.py). A verdict depends only on the suite, the code,
the limits and the versions of grader and Python, and is remembered under their hash. A hostile or
broken program is a verdict; GraderError means that the grader itself could not do its work.

Not covered: refusing to grade below a wanted level of isolation, a store of verdicts on disk.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import TracebackType

from novicegym.courses.model import Assignment
from novicegym.courses.suite import TestSuite
from novicegym.errors import GraderError
from novicegym.grading.falconcode import grade_script
from novicegym.grading.judge import (
    BROKE_OUT,
    HARMLESS,
    Plan,
    judge,
    make_plan,
    program_request,
    whole_program,
)
from novicegym.grading.limits import Limits
from novicegym.grading.pool import Pool
from novicegym.grading.verdict import Verdict
from novicegym.grading.worker import TRIES, Run, ZygoteDiedError

GRADER_VERSION = "1"
"""Raised whenever the same program may get another verdict than before."""

__all__ = ["GRADER_VERSION", "Grader", "Limits", "shared_grader"]

_PLANS = 4_096


class Grader:
    """Grades programs on a few zygotes. Thread-safe; not usable across a fork, not picklable."""

    def __init__(
        self,
        *,
        workers: int | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        cache_size: int = 100_000,
    ) -> None:
        """Start `workers` zygotes (default: one a core, two at most), lazily.

        `cache_size` is how many verdicts are remembered; 0 remembers none.
        """
        if workers is None:
            workers = min(2, os.cpu_count() or 1)
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self.limits = limits
        self.workers = workers
        self._cache_size = cache_size
        self._cache: OrderedDict[bytes, Verdict] = OrderedDict()
        self._plans: OrderedDict[int, Plan] = OrderedDict()
        self._salt = f"{GRADER_VERSION} {sys.version} {limits}".encode()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._programs = Pool(workers, limits)
        # A script holds its worker while the programs it asks for run: those need others.
        self._scripts = Pool(workers, limits)

    @property
    def isolation(self) -> tuple[str, ...]:
        """The layers of isolation in force; starts a zygote if none has run yet."""
        if self._programs.isolation is None:
            with self._programs.lend():
                pass
        return self._programs.isolation or ()

    def grade(self, assignment: Assignment, code: str) -> Verdict:
        """Return the verdict on one program. Raises GraderError, never for anything in `code`."""
        self._check_usable()
        plan = self._plan(assignment)
        return self._grade(assignment, plan, code, self._key(plan, code))

    def grade_batch(
        self,
        requests: Sequence[tuple[Assignment, str]],
        progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """Return the verdicts in the order of the requests, graded on all workers at once.

        `progress` is called in this thread with the number of requests done so far.
        """
        self._check_usable()
        places: dict[bytes, list[int]] = {}
        for place, (assignment, code) in enumerate(requests):
            places.setdefault(self._key(self._plan(assignment), code), []).append(place)
        verdicts: list[Verdict | None] = [None] * len(requests)
        done = 0
        todo = iter(places.items())
        running = min(self.workers, len(places))
        failures: list[BaseException] = []
        changed = threading.Condition()

        def work() -> None:
            nonlocal done, running
            try:
                while True:
                    with changed:
                        item = None if failures else next(todo, None)
                    if item is None:
                        return
                    key, wanted = item
                    assignment, code = requests[wanted[0]]
                    verdict = self._grade(assignment, self._plan(assignment), code, key)
                    with changed:
                        for place in wanted:
                            verdicts[place] = verdict
                        done += len(wanted)
                        if progress is not None:
                            changed.notify()
            except BaseException as error:
                failures.append(error)
            finally:
                with changed:
                    running -= 1
                    changed.notify()

        threads = [threading.Thread(target=work, daemon=True) for _ in range(running)]
        for thread in threads:
            thread.start()
        reported = 0
        try:
            while reported < len(requests) and not failures:
                with changed:
                    while running and (progress is None or done == reported):
                        changed.wait()
                    reported = done
                if progress is not None and not failures:
                    progress(reported)
        except BaseException as error:  # from progress, or an interrupt: stop the others
            failures.append(error)
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return [verdict for verdict in verdicts if verdict is not None]

    def close(self) -> None:
        """End the zygotes; the grader cannot be used afterwards."""
        self._programs.close()
        self._scripts.close()

    def __enter__(self) -> Grader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> str:
        raise TypeError("a Grader holds processes and cannot be pickled; make one in each process")

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise GraderError("a Grader cannot be used after a fork; make a new one there")
        if self._programs.closed:
            raise GraderError("the Grader is closed; make a new one")

    def _plan(self, assignment: Assignment) -> Plan:
        suite: TestSuite = assignment.tests
        plan = self._plans.get(id(suite))
        if plan is None or plan.suite is not suite:
            plan = make_plan(assignment)
            with self._lock:
                self._plans[id(suite)] = plan  # holds the suite, so its id stays taken
                if len(self._plans) > _PLANS:
                    self._plans.popitem(last=False)
        return plan

    def _key(self, plan: Plan, code: str) -> bytes:
        text = code.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(self._salt + plan.digest + text, digest_size=20).digest()

    def _grade(self, assignment: Assignment, plan: Plan, code: str, key: bytes) -> Verdict:
        with self._lock:
            known = self._cache.get(key)
            if known is not None:
                self._cache.move_to_end(key)
                return known
        verdict, lasting = self._run_and_judge(assignment, plan, code)
        if lasting and self._cache_size:
            with self._lock:
                self._cache[key] = verdict
                if len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return verdict

    def _run_and_judge(self, assignment: Assignment, plan: Plan, code: str) -> tuple[Verdict, bool]:
        """Return the verdict, and whether it may be remembered: not after the wall limit."""
        if plan.suite.script is not None:
            return grade_script(assignment, plan, code, self.limits, self._run, self._scripts)
        run = self._run(program_request(plan, code, self.limits, plan.calls))
        if run is None:
            return whole_program(plan, "refused", BROKE_OUT), False
        return judge(plan, run), run.end != "wall"

    def _run(self, request: bytes) -> Run | None:
        """Run a request; None when it killed its zygote every time. Raises GraderError."""
        for _ in range(TRIES):
            with self._programs.lend() as worker, contextlib.suppress(ZygoteDiedError):
                return worker.run(request)
        # Whose fault is it? Where a harmless program ends the zygote too, it is not this one's.
        try:
            with self._programs.lend() as worker:
                worker.run(HARMLESS)
        except ZygoteDiedError as error:
            raise GraderError(f"the grading process cannot run any program: {error}") from None
        return None


_shared: Grader | None = None
_shared_lock = threading.Lock()


def shared_grader() -> Grader:
    """Return this process's grader, made on first use and closed at exit."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared._pid != os.getpid() or _shared._programs.closed:
            if _shared is not None:
                _shared.close()
            _shared = Grader()
            atexit.register(_shared.close)
        return _shared
