"""A model and a course small enough to train in a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest

from novicegym.courses.model import Course, Submission, Trajectory
from novicegym.dialogs.serialize import Dialog
from novicegym.training.tiny import ModelSize, course_texts, write_model

Teach: TypeAlias = Callable[[Sequence[Dialog], Sequence[str]], Path]
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


@pytest.fixture(scope="session")
def teach(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Teach:
    """Make a model that says one of some texts, each as often, whatever the dialogs ask.

    So completions differ, almost all of them end, and what a test finds does not hang on what an
    untrained model happens to sample.
    """
    import torch

    from novicegym.training.models import load_model

    def teach(dialogs: Sequence[Dialog], texts: Sequence[str]) -> Path:
        torch.manual_seed(0)
        loaded = load_model(str(tiny_model_dir), device="cpu")
        optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=2e-2)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=160)
        choice = Random(0)
        for _ in range(160):
            for dialog in dialogs:
                ids: list[int] = []
                labels: list[int] = []
                for message in loaded.dialogs.encode(
                    [
                        message | {"content": choice.choice(texts)}
                        if message["role"] == "assistant"
                        else message
                        for message in dialog
                    ]
                ):
                    begin, end = message.turn
                    ids += message.ids
                    labels += [
                        token if begin <= place < end else -100
                        for place, token in enumerate(message.ids)
                    ]
                loss = loaded.model(
                    input_ids=torch.tensor([ids]), labels=torch.tensor([labels])
                ).loss
                (loss / len(dialogs)).backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        folder = tmp_path_factory.mktemp("taught")
        loaded.model.save_pretrained(folder)
        loaded.dialogs.tokenizer.save_pretrained(folder)
        return folder

    return teach
