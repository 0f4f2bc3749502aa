"""What the logged students said and heard, as the dialogs that models are trained on.

A trajectory counts up to its first fully correct submission, as in rollouts. Covered: grading in
batches, one serialization. Not covered: windows and rows (rows.py), pairs (pairs.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, serialize
from novicegym.grading.grader import Grader
from novicegym.grading.regrade import grade_trajectories, until_correct
from novicegym.grading.verdict import Verdict

_TRAJECTORIES_AT_ONCE = 64
_PROGRAMS_AT_ONCE = 512
_SOLVERS = "solutions"
"""Stands for a student where a dialog is nobody's."""


@dataclass(frozen=True, slots=True)
class LoggedDialog:
    """One trajectory, graded and serialized."""

    student_id: str
    assignment_id: str
    codes: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    """Of `codes`; of a student's only the last can be fully correct."""
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
                found.append(_dialog(course, *whole.key, turns, fmt))
        if progress is not None:
            progress(min(first + _TRAJECTORIES_AT_ONCE, total), total)
    return found


def solution_dialogs(
    course: Course,
    grader: Grader,
    fmt: DialogFormat,
    *,
    seed: int = 0,
    without: Sequence[LoggedDialog] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[LoggedDialog]:
    """Return a dialog of each assignment, in which all its correct programs are handed in.

    Those that came with the assignment and those that students handed in, each text once, in an
    order drawn by the seed: all that a model learns from which knows the course, and no student.
    One after another, because the model will be asked in the middle of dialogs, too. without:
    dialogs whose programs are left out. progress: called with (programs graded, programs in all).
    """
    known = {(one.assignment_id, code) for one in without for code in one.codes}
    programs: dict[tuple[str, str], None] = {}
    for assignment in course.assignments.values():
        programs.update(((assignment.id, code), None) for code in assignment.solutions)
    for trajectory in course.trajectories:
        for submission in trajectory.submissions:
            programs[(trajectory.assignment_id, submission.code)] = None
    asked = [one for one in programs if one not in known]
    correct: dict[str, list[tuple[str, Verdict]]] = defaultdict(list)
    for first in range(0, len(asked), _PROGRAMS_AT_ONCE):
        chunk = asked[first : first + _PROGRAMS_AT_ONCE]
        verdicts = grader.grade_batch([(course.assignment(name), code) for name, code in chunk])
        for (name, code), verdict in zip(chunk, verdicts, strict=True):
            if verdict.correct:
                correct[name].append((code, verdict))
        if progress is not None:
            progress(first + len(chunk), len(asked))
    rng = np.random.default_rng([seed, *b"solutions"])
    return [
        _dialog(
            course, _SOLVERS, name, [turns[place] for place in rng.permutation(len(turns))], fmt
        )
        for name, turns in correct.items()
    ]


def _dialog(
    course: Course,
    student_id: str,
    assignment_id: str,
    turns: Sequence[tuple[str, Verdict]],
    fmt: DialogFormat,
) -> LoggedDialog:
    return LoggedDialog(
        student_id,
        assignment_id,
        tuple(code for code, _ in turns),
        tuple(verdict for _, verdict in turns),
        serialize(course.assignment(assignment_id), turns, fmt),
    )
