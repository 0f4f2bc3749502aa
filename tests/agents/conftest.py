"""A small course, and states of it as the environment describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from novicegym.agents.base import Agent
from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.dialogs.extract import extract_code
from novicegym.grading.grader import Grader


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    with Grader(workers=1) as one:
        yield one


@pytest.fixture
def double() -> Assignment:
    cases = (CallCase("double(0)", 0), CallCase("double(2)", 4), CallCase("double(3)", 6))
    return Assignment(
        "double",
        "Double",
        "Write double(x).",
        TestSuite(cases=cases),
        entry_point="double",
        starter="def double(x):\n    pass",
    )


@pytest.fixture
def make_course() -> Callable[[Assignment, Mapping[str, Sequence[str]]], Course]:
    """Build a course of one assignment from each student's submissions."""

    def make(assignment: Assignment, logs: Mapping[str, Sequence[str]]) -> Course:
        trajectories = tuple(
            Trajectory(student, assignment.id, None, tuple(Submission(code) for code in codes))
            for student, codes in logs.items()
        )
        return Course("test", {assignment.id: assignment}, trajectories)

    return make


@pytest.fixture
def submit(grader: Grader) -> Callable[..., str]:
    """Return the code an agent submits in the seat of `student`, whose last code is `code`."""

    def play(
        agent: Agent,
        assignment: Assignment,
        code: str,
        *,
        student: str = "me",
        position: int = 1,
        step: int = 0,
    ) -> str:
        verdict = grader.grade(assignment, code)
        info = {
            "student_id": student,
            "assignment_id": assignment.id,
            "term": "",
            "position": position,
            "step": step,
            "code": code,
            "grade": float(verdict.grade),
            "outcome": verdict.outcome,
            "case_bits": verdict.case_bits,
        }
        [completion] = agent.act([[]], [info])
        return extract_code(completion, code or None).code

    return play


@pytest.fixture(scope="session")
def itap(shared: Path) -> Course:
    """Real logs of novices."""
    folder = shared / "data" / "itap"
    return load_course(f"progsnap2:{folder}", tests=folder / "assignments.json")
