"""A slice of the embedded course, and what a tutor says in a state of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from novicegym.agents.base import Agent
from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment, Course
from novicegym.grading.grader import Grader

SLICE = {"lsn11_rainfall": 14, "lsn12_checkdigit": 14, "lsn17_runnerup": 14}
"""Students on a program that reads and prints, and on two that are called."""


@pytest.fixture(scope="session")
def cs1() -> Course:
    """Some students on some assignments of the embedded course."""
    course = load_course("cs1")
    kept = []
    left = dict(SLICE)
    for trajectory in course.trajectories:
        if left.get(trajectory.assignment_id, 0) > 0:
            left[trajectory.assignment_id] -= 1
            kept.append(trajectory)
    assignments = {name: course.assignment(name) for name in SLICE}
    return Course("cs1", assignments, tuple(kept), synthetic=True)


@pytest.fixture(scope="session")
def state(grader: Grader) -> Callable[..., dict[str, Any]]:
    """Return the info of a state, as the environment gives it."""

    def describe(
        assignment: Assignment, code: str, student: str = "me", position: int = 1, step: int = 0
    ) -> dict[str, Any]:
        verdict = grader.grade(assignment, code)
        return {
            "student_id": student,
            "assignment_id": assignment.id,
            "term": "",
            "position": position,
            "step": step,
            "code": code,
            "grade": float(verdict.grade),
            "grade_exact": str(verdict.grade),
            "outcome": verdict.outcome,
            "case_bits": verdict.case_bits,
            "stop": "",
        }

    return describe


@pytest.fixture(scope="session")
def tell(state: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    """Return what a tutor says of a program."""

    def say(tutor: Agent, assignment: Assignment, code: str, student: str = "me") -> str:
        [message] = tutor.act([[]], [state(assignment, code, student)])
        return message

    return say


@pytest.fixture(scope="session")
def logged_states(state: Callable[..., dict[str, Any]]) -> Callable[..., list[dict[str, Any]]]:
    """Return the states of a course's logs, every `each`-th."""

    def collect(course: Course, each: int = 1) -> list[dict[str, Any]]:
        found = [
            (trajectory, position)
            for trajectory in course.trajectories
            for position in range(1, len(trajectory.submissions) + 1)
        ]
        return [
            state(
                course.assignment(trajectory.assignment_id),
                trajectory.submissions[position - 1].code,
                trajectory.student_id,
                position,
            )
            for trajectory, position in found[::each]
        ]

    return collect
