"""A course directory that grows while somebody plays: what was submitted is on disk at once.

It is a course as `courses.store` writes it, empty at first, beside a file `transcript.json` that
says whose it is: a course of logs is not added to. Only assignments that were played are in it.

Every change is a whole new course written to `next/` and moved into place file by file. Whoever
opens the transcript for writing finishes a move that a crash has cut short, so nothing that was
added is ever lost. A reader in the milliseconds of such a move is refused by `load_course`; after
a kill in them it is until the transcript is opened once more. Ctrl-C waits for the move to end.
Sessions may add at the same time: they take turns by a lock on `transcript.json`.

Covered: trajectories that are added and that grow; text that is not Unicode, whose lone
surrogates become "?". Not covered: large transcripts, every change writes all of them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from novicegym.courses.assignment_lines import assignment_to_json
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.store import (
    ASSIGNMENTS_FILE,
    COURSE_FILE,
    SUBMISSIONS_FILE,
    open_course,
    save_course,
)
from novicegym.errors import UsageError
from novicegym.runs import write_atomically

MARKER_FILE = "transcript.json"
_NEXT = "next"


class Transcript:
    """The course directory of what was played."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Open the transcript in `folder`, or begin one; it can be loaded as soon as this returns.

        Raises UsageError for a folder that holds anything else, and OSError where nothing can be
        written.
        """
        self.folder = Path(folder)
        marker = self.folder / MARKER_FILE
        if not marker.exists():
            is_other = self.folder.exists() and not self.folder.is_dir()
            if is_other or (self.folder.is_dir() and any(self.folder.iterdir())):
                raise UsageError(
                    f"{self.folder} is neither a transcript (it has no {MARKER_FILE}) nor an empty "
                    "folder: take a folder of its own"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(marker, b'{"made by": "novicegym play"}\n')
        self._change(lambda course: course)

    def add(self, assignment: Assignment, trajectory: Trajectory, *, synthetic: bool) -> Trajectory:
        """Add a trajectory and return it as it is stored.

        Where its student has one on this assignment, the new one is of student "NAME@2", "NAME@3"
        and so on. synthetic: whether no human wrote the submissions. Raises UsageError where the
        transcript holds another assignment of this id.
        """
        added = _storable(trajectory)

        def change(course: Course) -> Course:
            nonlocal added
            known = course.assignments.get(assignment.id, assignment)
            if _stored_form(known) != _stored_form(assignment):
                raise UsageError(
                    f"{self.folder} holds another assignment {assignment.id!r}; "
                    "take another folder for this course"
                )
            taken = {other.key for other in course.trajectories}
            student, number = added.student_id, 1
            while added.key in taken:
                number += 1
                added = replace(added, student_id=f"{student}@{number}")
            return replace(
                course,
                assignments={**course.assignments, assignment.id: assignment},
                trajectories=(*course.trajectories, added),
                synthetic=synthetic and (course.synthetic or not taken),
            )

        self._change(change)
        return added

    def grow(self, trajectory: Trajectory) -> None:
        """Put a trajectory in the place of the one with its key; UsageError where there is none."""
        grown = _storable(trajectory)

        def change(course: Course) -> Course:
            known = list(course.trajectories)
            places = [place for place, other in enumerate(known) if other.key == grown.key]
            if not places:
                raise UsageError(f"{self.folder} has no trajectory {grown.key} to go on with")
            known[places[0]] = grown
            return replace(course, trajectories=known)

        self._change(change)

    def _change(self, change: Callable[[Course], Course]) -> None:
        # Ctrl-C interrupts the main thread alone, and leaving the block waits for the other one.
        with ThreadPoolExecutor(1, thread_name_prefix="novicegym-transcript") as pool:
            pool.submit(self._write, change).result()

    def _write(self, change: Callable[[Course], Course]) -> None:
        with (self.folder / MARKER_FILE).open("rb") as marker:
            fcntl.flock(marker, fcntl.LOCK_EX)  # until the file is closed, by a crash at the latest
            self._finish_move()
            course = Course(self.folder.resolve().name, {})
            is_new = not (self.folder / COURSE_FILE).exists()
            if not is_new:
                course = open_course(self.folder)
            changed = change(course)
            if is_new or changed is not course:
                save_course(changed, self.folder / _NEXT)  # there whole or not at all
                self._finish_move()

    def _finish_move(self) -> None:
        """Move what is in `next/` into place: all of it, or what an earlier move has left."""
        for left_over in self.folder.glob(f".{_NEXT}.*.tmp"):  # of a crash while it was written
            shutil.rmtree(left_over)
        following = self.folder / _NEXT
        if not following.is_dir():
            return
        for name in (SUBMISSIONS_FILE, ASSIGNMENTS_FILE, COURSE_FILE):
            if (following / name).exists():
                os.replace(following / name, self.folder / name)
        following.rmdir()


def _stored_form(assignment: Assignment) -> str:
    return json.dumps(assignment_to_json(assignment), sort_keys=True)


def _storable(trajectory: Trajectory) -> Trajectory:
    return replace(
        trajectory,
        student_id=_unicode(trajectory.student_id),
        submissions=tuple(_storable_submission(one) for one in trajectory.submissions),
    )


def _storable_submission(submission: Submission) -> Submission:
    feedback = submission.logged_feedback
    return replace(
        submission,
        code=_unicode(submission.code),
        logged_feedback=None if feedback is None else _unicode(feedback),
    )


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
