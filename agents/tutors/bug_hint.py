"""Names the lines that differ from the nearest correct program.

The program is compared with the nearest correct one, written in the student's names and looks. Of
the lines that differ those are left out that the program is correct without changing, which the
grader says. Of what remains one region is named: where Python refuses the program the one nearest
to that line, else the first.

Covered: Python, any state, programs that do not compile. Not covered: which of several ways to
mend it the student has in mind; other languages are compared as they are written.
"""

from __future__ import annotations

from collections.abc import Sequence

from novicegym.agents.correct_programs import LONGEST_ALIGNED, CorrectPrograms
from novicegym.agents.novice import fixed_names
from novicegym.agents.novice_faults import Fault, gap, mend
from novicegym.agents.tutors.edits import faults_that_matter, place
from novicegym.agents.tutors.feedback import error_line
from novicegym.agents.tutors.hand import in_hand_of
from novicegym.agents.tutors.states import State, is_comparable, messages
from novicegym.courses.model import Assignment, Course
from novicegym.dialogs.serialize import Dialog
from novicegym.grading.grader import Grader, shared_grader

_MOST_CHECKED = 12
"""Differences of which each is checked; with more the program is another one altogether."""


class BugHintTutor:
    """Names the lines that must change for the program to become correct, and nothing else.

    Knows: the last submission; the assignment's solutions and the correct programs of all
    students but the one it speaks to; what the grader says of the program partly mended. It says
    a line number: not what is wrong there, nor what is to stand there.
    """

    name = "bug_hint"

    def __init__(self, course: Course, *, grader: Grader | None = None) -> None:
        """grader: of the logs, at an assignment's first use; None for the shared one."""
        self._course, self._grader = course, grader
        self._programs = CorrectPrograms(course, grader)

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[State]) -> list[str]:
        """Return one hint per state."""
        return messages(infos, is_comparable, self._hint)

    def _hint(self, state: State) -> str:
        assignment = self._course.assignment(state["assignment_id"])
        code: str = state["code"]
        target = self._programs.nearest(
            assignment, code, state["student_id"], fixed_names(assignment)
        )
        if target is None or len(target) > LONGEST_ALIGNED:
            return ""
        grader = self._grader or shared_grader()
        faults = faults_that_matter(code, in_hand_of(target, code))
        faults = needed(code, faults, assignment, grader)
        if not faults:
            return ""
        line = error_line(grader.grade(assignment, code))
        fault = faults[0] if line is None else min(faults, key=lambda one: gap(one, line))
        where = place(code, fault)
        if fault.start == fault.end:
            return f"Something is missing {where}."
        return f"Look at {where} again: something is not right there."


def needed(
    code: str, faults: Sequence[Fault], assignment: Assignment, grader: Grader
) -> list[Fault]:
    """Return the faults without which mending the others does not make a correct program.

    All of them where mending all does not make one either, or where there are too many to check.
    """
    left = list(faults)
    if len(left) > _MOST_CHECKED or not grader.grade(assignment, mend(code, left)).correct:
        return left
    # From the end: of two faults that each can stand for the other the upper one is named.
    for fault in reversed(faults):
        rest = [one for one in left if one is not fault]
        if grader.grade(assignment, mend(code, rest)).correct:
            left = rest
    return left
