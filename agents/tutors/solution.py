"""The tutor who gives the answer away: what no tutor should do, and every leak check must catch.

It shows the nearest correct program, in the student's names where they align and the program is
still correct so.
"""

from __future__ import annotations

from collections.abc import Sequence

from novicegym.agents.correct_programs import CorrectPrograms
from novicegym.agents.novice import fixed_names
from novicegym.agents.tutors.states import State, has_failed, messages
from novicegym.courses.model import Course
from novicegym.dialogs.fences import fence
from novicegym.dialogs.serialize import Dialog
from novicegym.grading.grader import Grader


class SolutionTutor:
    """Shows a correct program, whole.

    Knows: the last submission; the assignment's solutions and the correct programs of all
    students but the one it speaks to. Silent only where there is no such program.
    """

    name = "solution"

    def __init__(self, course: Course, *, grader: Grader | None = None) -> None:
        """grader: of the logs, at an assignment's first use; None for the shared one."""
        self._course = course
        self._programs = CorrectPrograms(course, grader)

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[State]) -> list[str]:
        """Return one program per state."""
        return messages(infos, has_failed, self._message)

    def _message(self, state: State) -> str:
        assignment = self._course.assignment(state["assignment_id"])
        program = self._programs.nearest(
            assignment, state["code"], state["student_id"], fixed_names(assignment)
        )
        if program is None:
            return ""
        return f"This is a correct program:\n\n{fence('python', program.strip())}"
