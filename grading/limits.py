"""What one submission may use up. Part of what a verdict depends on."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Printed text kept of one test case, in characters; a program that prints more than that
    fails a case that compares its output."""
    reply_bytes: int = 1024 * 1024
    """Most that the program's answers may fill; a longer answer equals nothing."""

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "wall_seconds", "memory_mb", "output_bytes", "reply_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")
        if self.cpu_seconds is not None and self.wall_seconds < self.cpu_seconds:
            raise ValueError(
                f"wall_seconds must be at least cpu_seconds ({self.cpu_seconds}), "
                f"got {self.wall_seconds}"
            )
        if self.processes < 0:
            raise ValueError(f"processes must be at least 0, got {self.processes}")
        if self.memory_mb < 64:
            raise ValueError(f"memory_mb must be at least 64 to start Python, got {self.memory_mb}")
