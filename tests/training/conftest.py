"""A model small enough to train in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from novicegym.courses.model import Course
from novicegym.training.tiny import ModelSize, course_texts, write_model

SMALLEST = ModelSize(hidden=32, layers=2, heads=2, key_value_heads=1, head_dim=16, intermediate=64)


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory, small_course: Course) -> Path:
    """An untrained model of 30,000 parameters and 400 tokens; do not write into it."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_model(course_texts(small_course), folder, SMALLEST, vocabulary=400, seed=0)
    return folder
