"""What one submission may use up. Part of what a verdict depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

_LEAST = {"memory_mb": 64, "processes": 0, "output_bytes": 1, "reply_bytes": 1}
"""With less memory Python does not start."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The budget of one submission, all its test cases together."""

    cpu_seconds: float | None = None
    """CPU time, the clock that does not run faster on a loaded machine. The test case in which
    it is used up fails, and so do the cases after it. None: ten times what the assignment's
    first solution needs, rounded up to 1, 2 or 5 times a power of ten, and at least 0.1
    (1 in JavaScript); 0.5 (1) for an assignment without a solution, or with a test script."""
    wall_seconds: float = 10.0
    """A program that sleeps or waits is stopped here. One that gets at least one part in 200 of a
    core goes on to its CPU limit, or to ten times this: on a busy machine that is little, and a
    verdict must not depend on it. A verdict at this limit is not remembered."""
    memory_mb: int = 512
    """Address space, the interpreter's own 30 MB included."""
    processes: int = 0
    """Threads and processes a program may start, where the layer `processes` is in force. Each
    process may use `memory_mb` again, and CPU time up to the wall limit before it counts."""
    output_bytes: int = 64 * 1024
    """Printed text kept of one test case. Counted in characters, of one to four bytes each (in
    JavaScript in UTF-16 units); a program that prints more fails a case that compares its
    output."""
    reply_bytes: int = 1024 * 1024
    """Most that the program's answers may fill; a longer answer equals nothing."""

    def __post_init__(self) -> None:
        for name in ("wall_seconds", "cpu_seconds"):
            value = getattr(self, name)
            if value is None and name == "cpu_seconds":
                continue
            if not isinstance(value, (int, float)):
                raise TypeError(f"{name} must be a number of seconds, got {value!r}")
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be positive and finite, got {value!r}")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int):
                raise TypeError(f"{name} must be a whole number, got {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if self.cpu_seconds is not None and self.wall_seconds < self.cpu_seconds:
            raise ValueError(
                f"wall_seconds must be at least cpu_seconds ({self.cpu_seconds}), "
                f"got {self.wall_seconds}"
            )
