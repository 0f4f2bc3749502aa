"""Starts the strongest kind of worker there is on this system."""

from __future__ import annotations

import sys

from novicegym.grading.fresh import FreshWorker
from novicegym.grading.limits import Limits
from novicegym.grading.pool import Worker
from novicegym.grading.worker import ZygoteWorker

HAS_ZYGOTES = sys.platform == "linux"


def start_worker(limits: Limits, layers: frozenset[str], command: tuple[str, ...] = ()) -> Worker:
    """Start a zygote on Linux; elsewhere a worker whose programs run in no sandbox.

    `command` starts the interpreter of another language than Python. Raises GraderError.
    """
    if HAS_ZYGOTES:
        return ZygoteWorker(limits, layers, command)
    return FreshWorker(limits, command)
