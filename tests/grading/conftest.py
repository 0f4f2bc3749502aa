"""Graders shared by the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from novicegym.grading.grader import Grader, Limits


@pytest.fixture(scope="session")
def quick_grader() -> Iterator[Grader]:
    """A grader that gives up early, for programs that never end."""
    with Grader(workers=1, limits=Limits(cpu_seconds=0.3, wall_seconds=1.5)) as grader:
        yield grader
