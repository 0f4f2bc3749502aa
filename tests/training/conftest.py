"""A model and a course small enough to train in a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from novicegym.courses.model import Course, Submission, Trajectory
from novicegym.training.tiny import ModelSize, course_texts, write_model

SMALLEST = ModelSize(hidden=32, layers=2, heads=2, key_value_heads=1, head_dim=16, intermediate=64)


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory, small_course: Course) -> Path:
    """An untrained model of 30,000 parameters and 400 tokens; do not write into it."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_model(course_texts(small_course), folder, SMALLEST, vocabulary=400, seed=0)
    return folder


@pytest.fixture(scope="session")
def school(small_course: Course) -> Course:
    """Ten students who did what Ann did in the small course; every program names its author."""
    logged = [one for one in small_course.trajectories if one.student_id == "ann"]

    def signed(student: str, one: Trajectory) -> Trajectory:
        programs = (Submission(f"{s.code.rstrip()}  # {student}\n") for s in one.submissions)
        return replace(one, student_id=student, submissions=tuple(programs))

    students = [f"s{number}" for number in range(10)]
    return replace(
        small_course,
        trajectories=tuple(signed(student, one) for student in students for one in logged),
    )
