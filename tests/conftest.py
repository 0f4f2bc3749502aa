"""Fixtures shared by all rooms' tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.suite import CallCase, IOCase, TestSuite
from novicegym.grading.grader import Grader

# Verdicts of this code alone count: none from the user's own store, none into it.
os.environ["NOVICEGYM_CACHE"] = "off"
# Tests run side by side: on shared cores the threads of several torches wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real logs and golden values beside the checkout; never part of it."""
    if not SHARED.is_dir():
        pytest.skip(f"real logs and golden values are not at {SHARED}")
    return SHARED


ADD = Assignment(
    id="add",
    title="Add",
    prompt="Write a function add(a, b) that returns the sum of a and b.",
    tests=TestSuite(
        cases=(
            CallCase("add(1, 2)", 3),
            CallCase("add(0, 0)", 0),
            CallCase("add(-1, 1)", 0),
            CallCase("add(10, 5)", 15),
        )
    ),
    entry_point="add",
    lesson="functions",
    solutions=("def add(a, b):\n    return a + b\n",),
)
DOUBLE = Assignment(
    id="double",
    title="Double",
    prompt="Read a number and print its double.",
    tests=TestSuite(cases=(IOCase("2\n", "4\n"), IOCase("0\n", "0\n"), IOCase("-3\n", "-6\n"))),
    lesson="io",
    solutions=("n = int(input())\nprint(2 * n)\n",),
)
ADD_CODES = (
    "def add(a, b)\n    return a + b\n",  # does not compile
    "def add(a, b):\n    return a - b\n",  # 1 of 4: add(0, 0)
    "def add(a, b):\n    return a * b\n",  # 1 of 4
    "def add(a, b):\n    print(a + b)\n",  # 0 of 4
    "def add(a, b):\n    return b + a\n",  # correct
)


def make_trajectory(
    student: str, assignment: str, codes: tuple[str, ...], term: str = "t1"
) -> Trajectory:
    """A trajectory without times or logged grades."""
    return Trajectory(student, assignment, term, tuple(Submission(code) for code in codes))


@pytest.fixture(scope="session")
def small_course() -> Course:
    """Two assignments, three students; one trajectory of five submissions."""
    return Course(
        name="small",
        assignments={ADD.id: ADD, DOUBLE.id: DOUBLE},
        trajectories=(
            make_trajectory("ann", "add", ADD_CODES),
            make_trajectory("ben", "add", ADD_CODES[1:2] + ADD_CODES[3:]),
            make_trajectory("ann", "double", ("print(2 * input())", "n = input()\nprint(n * 2)")),
            make_trajectory("cem", "double", DOUBLE.solutions, term="t2"),
        ),
    )


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    """One grader for the whole test session."""
    with Grader() as grader:
        yield grader
