"""A simulated beginner in the student's seat: the process model as an agent.

`NoviceAgent` can sit down anywhere: in a log it did not write it takes the code before it
for its own. Its aim is the nearest correct program it knows (the assignment's solutions and
what other students of the course finished with), in the names of the code at hand; what
differs from it are its faults. What it does then is `novice_process.next_submission`. It reads
the feedback and, where a tutor has added one to it, the last message (`novice_listening`).

Covered: any dialog, any code, batches; the same (seed, seat, position, step) gives the same
submission after the same dialog, and the same random numbers after another one, so that arms of
a trial can be compared; the next assignment after an episode with a tutor (`novice_memory`). The
seat's own log is never read. Not covered: knowing the student in the
seat; skill and habits are drawn by (seed, student id), not estimated from the submissions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np

from novicegym.agents.base import completion
from novicegym.agents.novice_faults import nearest
from novicegym.agents.novice_hints import read_hint
from novicegym.agents.novice_memory import overcome
from novicegym.agents.novice_process import first_submission, gives_up, next_submission
from novicegym.agents.novice_student import Novice, Process, Shown, draw_novice, read_feedback
from novicegym.agents.novice_style import adopt_names, restyle
from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Assignment, Course
from novicegym.courses.syntax import ast_key
from novicegym.dialogs.extract import extract_code
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.dialogs.tutoring import split_message
from novicegym.grading.grader import Grader, shared_grader
from novicegym.grading.verdict import Verdict

GIVE_UP = "exit()"

PEERS_KNOWN = 40
"""Largest number of other students' correct programs kept per assignment."""


class NoviceAgent:
    """Plays a beginner by the process model."""

    name = "novice"
    listens = True

    def __init__(
        self,
        course: Course,
        *,
        seed: int = 0,
        gives_up: bool = False,
        process: Process | None = None,
        fmt: DialogFormat | None = None,
        grader: Grader | None = None,
    ) -> None:
        """Take a seat in `course`.

        gives_up: whether it may submit `exit()`; otherwise it keeps trying. grader: finds what is
        correct in logs without grades, on first use of an assignment; None for the shared one.
        """
        self._course, self._seed, self._gives_up = course, seed, gives_up
        self._process, self._fmt = process or Process(), fmt or DialogFormat()
        self._grader = grader
        self._logs = LogIndex(course)
        self._finished: dict[str, list[dict[str, str]]] = {}

    def with_seed(self, seed: int) -> NoviceAgent:
        """Return another novice, who shares what this one has read of the course."""
        other = copy(self)
        other._seed = seed
        return other

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return one submission per dialog."""
        return [self._act(dialog, info) for dialog, info in zip(dialogs, infos, strict=True)]

    def _act(self, dialog: Dialog, info: Mapping[str, Any]) -> str:
        assignment = self._course.assignment(info["assignment_id"])
        student_id = str(info["student_id"])
        place = self._place(student_id, assignment)
        novice = self._novice(place)
        moment = [int(info["position"]), int(info["step"])]
        if "sample" in info:
            moment.append(int(info["sample"]))
        rng = np.random.default_rng([*place, *moment])
        submitted, shown = read_dialog(dialog)
        if "past" in info:
            novice = replace(novice, cured=self._cured(**info["past"]))
        programs = self._programs(assignment, student_id)
        if self._gives_up and gives_up(novice, len(submitted), shown, rng, self._process):
            return completion(GIVE_UP, info, self._fmt)
        if submitted:
            known = _aims(submitted[-1], programs, fixed_names(assignment), rng)
            code = next_submission(novice, submitted, shown, known, rng, self._process)
        elif programs:
            own = programs[int(rng.integers(len(programs)))]
            own = restyle(own, assignment.title, fixed_names(assignment), novice.style, rng)
            code = first_submission(novice, own, rng, self._process)
        else:
            code = assignment.starter or "print('hello')\n"
        return completion(code, info, self._fmt)

    def _place(self, student_id: str, assignment: Assignment) -> list[int]:
        """Return what all that is drawn in a seat depends on; the first two, who sits there."""
        return [self._seed, crc32(student_id.encode()), crc32(assignment.id.encode())]

    def _novice(self, place: Sequence[int]) -> Novice:
        novice = draw_novice(np.random.default_rng(place[:2]), self._process)
        return on_assignment(novice, np.random.default_rng(place), self._process)

    def _cured(self, dialog: Dialog, info: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the misconceptions that the student has left behind in an episode of hers."""
        assignment = self._course.assignment(info["assignment_id"])
        student_id, position = str(info["student_id"]), int(info["position"])
        place = self._place(student_id, assignment)
        novice = self._novice(place)
        programs, names = self._programs(assignment, student_id), fixed_names(assignment)
        made, _ = read_dialog(dialog)
        found = []
        for number in range(max(position, 1), len(made)):
            submitted, shown = read_dialog(dialog[: 2 + 2 * number])
            rng = np.random.default_rng([*place, position, number - position])
            known = _aims(submitted[-1], programs, names, rng)
            found.append(
                overcome(novice, submitted, shown, known, made[number], rng, self._process)
            )
        # By name: what else she got over shall not change the luck with this one.
        luck = {
            name: np.random.default_rng([*place, crc32(name.encode())]).random()
            for name in found
            if name is not None
        }
        return tuple(name for name in luck if luck[name] < self._process.cure)

    def _programs(self, assignment: Assignment, student_id: str) -> list[str]:
        """Return the correct programs that do not come from the student in the seat."""
        if assignment.id not in self._finished:
            self._finished[assignment.id] = self._finished_programs(assignment)
        peers = (
            [code for student, code in codes.items() if student != student_id]
            for codes in self._finished[assignment.id]
        )
        # Commonest first, counted without the seat: neither what its student finished with nor
        # how she wrote it may show in the order or in the text.
        known = sorted(filter(None, peers), key=len, reverse=True)[:PEERS_KNOWN]
        return [*assignment.solutions, *(codes[0] for codes in known)]

    def _finished_programs(self, assignment: Assignment) -> list[dict[str, str]]:
        """Return for each different correct program logged its text by each student who wrote it.

        What a log calls correct is taken to be so; what it does not grade is graded.
        """
        logged = [
            (trajectory.student_id, submission)
            for trajectory in self._logs.of_assignment(assignment.id)
            for submission in trajectory.submissions
        ]
        ungraded = [submission.code for _, submission in logged if submission.logged_grade is None]
        verdicts: Iterator[Verdict] = iter(())
        if ungraded:
            grader = self._grader or shared_grader()
            verdicts = iter(grader.grade_batch([(assignment, code) for code in ungraded]))
        programs: dict[str, dict[str, str]] = {}
        for student_id, submission in logged:
            grade = submission.logged_grade
            if next(verdicts).correct if grade is None else grade == 1.0:
                students = programs.setdefault(ast_key(submission.code), {})
                students.setdefault(student_id, submission.code)
        return [programs[key] for key in sorted(programs)]


def on_assignment(novice: Novice, rng: np.random.Generator, process: Process) -> Novice:
    """Return the student as she is on one assignment."""
    return replace(novice, insight=novice.insight + float(rng.normal(0, process.insight)))


def fixed_names(assignment: Assignment) -> frozenset[str]:
    """Return the names a solution cannot choose: the entry point, and what the tests call by."""
    tests = " ".join(getattr(case, "call", "") for case in assignment.tests.cases)
    words = set(tests.replace("(", " ").replace("=", " ").replace(",", " ").split())
    return frozenset(words | ({assignment.entry_point} if assignment.entry_point else set()))


def read_dialog(dialog: Dialog) -> tuple[list[str], Shown]:
    """Return the submissions a dialog shows, oldest first, and what its last answer shows."""
    submitted: list[str] = []
    for message in dialog:
        if message["role"] == "assistant":
            previous = submitted[-1] if submitted else None
            submitted.append(extract_code(message["content"], previous).code)
    if not submitted or dialog[-1]["role"] == "assistant":
        return submitted, Shown("nothing")
    feedback, said = split_message(dialog[-1]["content"])
    return submitted, read_feedback(feedback)._replace(hint=read_hint(said))


def _aims(
    code: str, programs: Sequence[str], names: frozenset[str], rng: np.random.Generator
) -> list[str]:
    """Return the program to aim at and one to start over with, in the names of the code."""
    first = nearest(code, programs)
    if first is None:
        return []
    other = programs[int(rng.integers(len(programs)))]
    return [adopt_names(program, code, names) for program in dict.fromkeys((first, other))]
