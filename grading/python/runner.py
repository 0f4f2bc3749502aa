"""Runs Python programs: in children of a warm zygote, or each in a fresh process elsewhere."""

from __future__ import annotations

import sys

from novicegym.courses.model import Assignment
from novicegym.grading.judge import Plan, show_value
from novicegym.grading.limits import Limits
from novicegym.grading.pool import Pool
from novicegym.grading.python import request
from novicegym.grading.python.script import grade_script
from novicegym.grading.rungs import Rung
from novicegym.grading.runner import Run
from novicegym.grading.start import start_worker
from novicegym.grading.verdict import Verdict


class PythonRunner:
    """Runs programs in the Python this process runs in. Thread-safe."""

    cpu_floor = 0.1
    version = sys.version
    show = staticmethod(show_value)
    prepare = staticmethod(request.prepare)

    def __init__(
        self, workers: int, limits: Limits, *, require: Rung, layers: frozenset[str]
    ) -> None:
        self._limits = limits
        # A script holds its worker while the programs it asks for run: those need others.
        self._programs, self._scripts = (
            Pool(
                workers,
                lambda: start_worker(limits, layers),
                limits,
                require=require,
                harmless=request.HARMLESS,
            )
            for _ in range(2)
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of isolation in force."""
        return self._programs.layers

    def run(self, prepared: request.Prepared, code: str, cpu_seconds: float) -> Run | None:
        """Run a program on all cases of a suite."""
        wanted = request.program_request(prepared, code, self._limits, prepared.calls)
        return self._programs.run(wanted, cpu_seconds)

    def grade_script(
        self, assignment: Assignment, plan: Plan, code: str, cpu_seconds: float
    ) -> tuple[Verdict, bool]:
        """Grade by a FalconCode test script; every run of the program has the CPU limit."""

        def run_program(message: bytes) -> Run | None:
            return self._programs.run(message, cpu_seconds)

        return grade_script(assignment, plan, code, self._limits, run_program, self._scripts)

    def close(self) -> None:
        """End all processes."""
        self._programs.close()
        self._scripts.close()
