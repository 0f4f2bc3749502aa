"""Who takes part in a simulated trial, and in which folder each arm's run is.

Every arm has the same trajectories, and by its seed (`novicegym.eval.episodes`) the same starts:
who takes part depends on the course, the number and the seed, and never on a tutor.

Covered: drawing, names of folders. Not covered: playing, which is any rollout's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from novicegym.courses.model import Course
from novicegym.courses.selection import Pick, Selection
from novicegym.errors import UsageError
from novicegym.eval.bootstrap import TooFewError
from novicegym.eval.episodes import RolloutProtocol
from novicegym.grading.grader import Grader
from novicegym.grading.regrade import grade_trajectories, until_correct

_DRAW = 7  # stream of the seed, see `novicegym.eval.episodes`
_AT_ONCE = 128
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_TAKEN = {"trial"}  # the page's and the table's name, before the dot


def draw_trajectories(
    course: Course, count: int, seed: int, protocol: RolloutProtocol, grader: Grader
) -> Course:
    """Return `count` trajectories, or all there are, that `protocol` has a start in.

    A student who is right at once needs no tutor: her trajectory has no start. Drawn without
    replacement, every trajectory as likely as any other; in the course's order. Grades the logs
    that it looks at. Raises UsageError for a count below 2 and where there is none, and TooFewError
    where all of them are one student's.
    """
    if count < 2:
        raise UsageError(f"a trial has at least 2 trajectories, got {count}")
    selection = Selection.everything(course)
    ordered = sorted(selection.picks, key=lambda pick: (pick.student_id, pick.assignment_id))
    drawn = np.random.default_rng([_DRAW, seed]).permutation(len(ordered))
    chosen: set[int] = set()
    for first in range(0, len(drawn), _AT_ONCE):
        picks = [ordered[place] for place in drawn[first : first + _AT_ONCE]]
        looked_at = [course.trajectories[pick.index] for pick in picks]
        graded = grade_trajectories(course, looked_at, grader)
        for pick, trajectory, verdicts in zip(picks, looked_at, graded, strict=True):
            cut = until_correct(trajectory, verdicts)
            if len(chosen) < count and protocol.starts(course, cut, seed):
                chosen.add(pick.index)
        if len(chosen) == count:
            break
    if not chosen:
        raise UsageError(
            f"course {course.name!r} has no trajectory in which a student was wrong before her "
            "last submission: there is nobody to tutor"
        )
    taken = [pick for pick in selection.picks if pick.index in chosen]
    _require_two_students(taken, drawn_from=selection.picks if len(taken) == count else taken)
    return selection.with_picks(taken).course()


def _require_two_students(taken: Sequence[Pick], drawn_from: Sequence[Pick]) -> None:
    """Raise TooFewError for one student alone: intervals are by student.

    drawn_from: of whom there may be others.
    """
    student = taken[0].student_id
    if any(pick.student_id != student for pick in taken):
        return
    if any(pick.student_id != student for pick in drawn_from):
        raise TooFewError(
            f"a trial needs at least 2 students; all {len(taken)} trajectories drawn are of "
            f"{student!r}: take more, or another seed"
        )
    raise TooFewError(
        f"a trial needs at least 2 students, and only {student!r} can be tutored here"
    )


def arm_folders(out: Path, arms: Sequence[str]) -> dict[str, Path]:
    """Return where the run of each arm is; the first arm is the control.

    Raises UsageError for fewer than two arms, and one that is named twice.
    """
    if len(arms) < 2:
        raise UsageError("a trial compares at least two tutors; the first one is the control")
    for place, arm in enumerate(arms):
        if arm in arms[:place]:
            raise UsageError(f"tutor {arm!r} is named twice; each is one arm of the trial")
    return {arm: out / _folder(arm) for arm in arms}


def _folder(arm: str) -> str:
    if _PLAIN.fullmatch(arm) and arm.split(".")[0] not in _TAKEN:
        return arm
    # Two specs that differ only in what a path cannot hold shall not share a folder.
    digest = hashlib.sha256(arm.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', arm).strip('-')[:40]}-{digest}"
