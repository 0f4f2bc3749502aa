"""What run.json says of where a training run comes from: students, libraries, sources."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from novicegym.agents.model_files import missing_extra
from novicegym.courses.model import Course
from novicegym.courses.selection import Selection
from novicegym.courses.splits import draw_students
from novicegym.runs import run_versions
from novicegym.training.recipes import Recipe

_VERSIONED = ("torch", "transformers", "trl", "peft", "datasets", "tokenizers")


def held_out_students(course: Course, recipe: Recipe, before: Mapping[str, Any]) -> list[str]:
    """Return the ids of the students held out: those of the run before, or drawn from the course.

    A later stage may be given a smaller part of the course: not all of them are in it then.
    """
    if before.get("course") == course.name and "held_out" in before:
        inherited: list[str] = before["held_out"]
        return inherited
    return sorted(draw_students(course, recipe.validation, recipe.seed))


def trained_on(training: Course, before: Mapping[str, Any]) -> list[str]:
    """Return the ids of the students that this stage or one before it learns from."""
    own = {pick.student_id for pick in Selection.everything(training).picks}
    inherited = before.get("trained_on", []) if before.get("course") == training.name else []
    return sorted(own.union(inherited))


def versions() -> dict[str, str]:
    """Return the versions of the libraries; UsageError where one is missing."""
    try:
        return run_versions(*_VERSIONED)
    except ImportError as error:
        raise missing_extra(error) from None


def git_revision() -> str | None:
    """Return the revision of the sources that run, None where they are no checkout."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    with suppress(OSError, subprocess.CalledProcessError):
        # Installed into somebody's checkout they are none of its files.
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True
        )
        asked = [*git, "describe", "--always", "--dirty", "--abbrev=12"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True)
        return told.stdout.strip()
    return None
