"""What the logged students said and heard, as the dialogs that models are trained on.

A trajectory counts up to its first fully correct submission, as in rollouts. Covered: grading in
batches, one serialization. Not covered: windows and rows (rows.py), pairs (pairs.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, serialize
from novicegym.grading.grader import Grader
from novicegym.grading.regrade import grade_trajectories, until_correct
from novicegym.grading.verdict import Verdict

_TRAJECTORIES_AT_ONCE = 64
_SOLVERS = "solutions"
"""Stands for a student where a dialog is nobody's."""


@dataclass(frozen=True, slots=True)
class LoggedDialog:
    """One trajectory, graded and serialized."""

    student_id: str
    assignment_id: str
    codes: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    """Of `codes`; only the last can be fully correct."""
    dialog: Dialog
    """System prompt, assignment, then for each submission the code and the grader's answer."""


def logged_dialogs(
    course: Course,
    grader: Grader,
    fmt: DialogFormat,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[LoggedDialog]:
    """Grade and serialize the course's trajectories, in its order; empty ones are left out.

    progress: called with (trajectories done, trajectories in all).
    """
    found: list[LoggedDialog] = []
    total = len(course.trajectories)
    for first in range(0, total, _TRAJECTORIES_AT_ONCE):
        chunk = course.trajectories[first : first + _TRAJECTORIES_AT_ONCE]
        for whole, graded in zip(chunk, grade_trajectories(course, chunk, grader), strict=True):
            codes = [submission.code for submission in until_correct(whole, graded).submissions]
            if codes:
                turns = list(zip(codes, graded, strict=False))
                found.append(
                    LoggedDialog(
                        whole.student_id,
                        whole.assignment_id,
                        tuple(codes),
                        tuple(graded[: len(codes)]),
                        serialize(course.assignment(whole.assignment_id), turns, fmt),
                    )
                )
        if progress is not None:
            progress(min(first + _TRAJECTORIES_AT_ONCE, total), total)
    return found


def solution_dialogs(course: Course, grader: Grader, fmt: DialogFormat) -> list[LoggedDialog]:
    """Return a dialog for each correct program of the course: the assignment, then the program.

    Those that came with the assignments, then those that students handed in, each text once: all
    that a model learns from which knows the course, and no student.
    """
    programs: dict[tuple[str, str], None] = {}
    for assignment in course.assignments.values():
        programs.update(((assignment.id, code), None) for code in assignment.solutions)
    for trajectory in course.trajectories:
        for submission in trajectory.submissions:
            programs[(trajectory.assignment_id, submission.code)] = None
    verdicts = grader.grade_batch([(course.assignment(name), code) for name, code in programs])
    return [
        LoggedDialog(
            _SOLVERS,
            name,
            (code,),
            (verdict,),
            serialize(course.assignment(name), [(code, verdict)], fmt),
        )
        for (name, code), verdict in zip(programs, verdicts, strict=True)
        if verdict.correct
    ]
