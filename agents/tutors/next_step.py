"""A hint from logged students: what the one in the nearest state did to get further, in words.

As in data-driven tutors (Barnes and Stamper's Hint Factory, Rivers and Koedinger's ITAP): the
logs are the knowledge. The states are logged submissions that their student later improved on:
to a higher grade, or at the same grade to a program that gets further (compiles, ends without an
error). From the nearest state to the first better submission of the same log leads an edit. The
tutor makes it in the program at hand, in the names and the looks of that, and grades the result:
an edit that does not improve this program is no hint for it, and the next nearest state is asked,
of 25. Of an edit in several places the first place is said that improves the program by itself,
else the first.

Covered: Python; any state, also programs that do not compile. Not covered: an edit that helps only
together with others; other languages, of which only the line is sure. Silent where no edit helps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

from novicegym.agents.correct_programs import LONGEST_ALIGNED, in_names_of
from novicegym.agents.logged_states import LoggedStates
from novicegym.agents.novice import fixed_names
from novicegym.agents.novice_faults import Fault, find_faults, mend
from novicegym.agents.tutors.edits import describe, faults_that_matter
from novicegym.agents.tutors.hand import in_hand_of
from novicegym.agents.tutors.states import State, is_comparable, messages
from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Assignment, Course
from novicegym.dialogs.serialize import Dialog
from novicegym.grading.grader import Grader, shared_grader
from novicegym.grading.verdict import Outcome, Verdict

_Progress: TypeAlias = tuple[Fraction, int]

_ASKED = 25
"""Nearest states whose edits are tried."""
_PLACES = 4
"""Places of an edit that are tried by themselves."""
_FAR: dict[Outcome, int] = {"compile": 0, "refused": 0, "timeout": 1, "memory": 1, "runtime": 1}
"""How far a program gets that passes no more tests; 2 for one that ends."""


class NextStepTutor:
    """Describes the next improving edit of the nearest logged student: line, kind, own names.

    Knows: the last submission and its verdict; the logs of all students on the assignment but
    the one it speaks to; what the grader says of an edit tried. Does not know: the assignment's
    own solutions, what was submitted before. It never says what is to stand in the line.
    """

    name = "next_step"

    def __init__(self, course: Course, *, grader: Grader | None = None) -> None:
        """grader: of the logs, at an assignment's first use, and of edits; None: the shared one."""
        self._course, self._grader = course, grader
        self._logs = LogIndex(course)
        self._states: dict[str, LoggedStates] = {}

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[State]) -> list[str]:
        """Return one hint per state."""
        return messages(infos, is_comparable, self._hint)

    def _hint(self, state: State) -> str:
        assignment = self._course.assignment(state["assignment_id"])
        grader = self._grader or shared_grader()
        if assignment.id not in self._states:
            self._states[assignment.id] = LoggedStates.of(
                self._logs, assignment, grader, first_improvements
            )
        code: str = state["code"]
        so_far = progress(grader.grade(assignment, code))
        tried = {code}
        for edit in self._edits(state, assignment):
            parts = [[fault] for fault in edit[:_PLACES]]
            for part in parts if len(edit) == 1 else [*parts, edit]:
                goal = mend(code, part)
                if goal not in tried:
                    tried.add(goal)
                    if progress(grader.grade(assignment, goal)) > so_far:
                        return describe(code, part[0])
        return ""

    def _edits(self, state: State, assignment: Assignment) -> Iterator[list[Fault]]:
        """Yield the nearest students' edits as faults of the program at hand.

        An edit that takes the place of half the program is another program, and left out.
        """
        states = self._states[assignment.id]
        code, fixed = state["code"], fixed_names(assignment)
        order = states.nearest_first(code, state["case_bits"], state["grade"], state["student_id"])
        for place in order[:_ASKED]:
            before, after = states.codes[place], states.successors[place]
            if max(len(before), len(after)) <= LONGEST_ALIGNED:
                edit = transplant(before, after, code, fixed)
                most = max(2, code.rstrip().count("\n") // 2)
                if all(fault.end - fault.start <= most for fault in edit):
                    yield edit


def transplant(before: str, after: str, code: str, fixed_names: frozenset[str]) -> list[Fault]:
    """Return the edit from `before` to `after` as what is to change in `code`.

    Empty where `code` has the edit already. fixed_names: those a program cannot choose.
    """
    edited = find_faults(after, before)
    # Both rewrites keep the lines, so that places in `after` stay what they are.
    goal = in_hand_of(in_names_of(after, code, fixed_names), code)
    # All in which the goal differs from the code, but not by the edit, is undone again.
    other = [
        fault for fault in find_faults(goal, code) if not any(_meet(fault, one) for one in edited)
    ]
    return faults_that_matter(code, mend(goal, other))


def first_improvements(verdicts: Sequence[Verdict]) -> list[int | None]:
    """Return for each submission of a log the place of the first later one that is better."""
    reached = [progress(verdict) for verdict in verdicts]
    return [
        next((later for later in range(now + 1, len(reached)) if reached[later] > mine), None)
        for now, mine in enumerate(reached)
    ]


def progress(verdict: Verdict) -> _Progress:
    """Return how far a program is: its grade, then how far it gets when it is run."""
    return verdict.grade, _FAR.get(verdict.outcome, 2)


def _meet(a: Fault, b: Fault) -> bool:
    if a.start == a.end or b.start == b.end:
        return a.start <= b.end and b.start <= a.end
    return a.start < b.end and b.start < a.end
