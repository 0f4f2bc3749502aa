"""The correct program nearest to a student's, in her names.

Covered: all programs of `novicegym.grading.known_programs`. Not covered: programs that pass the
tests and are wrong all the same.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from novicegym.agents.novice_faults import nearest
from novicegym.agents.novice_source import Source
from novicegym.agents.novice_style import adopt_names
from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Assignment, Course
from novicegym.courses.similarity import CodeIndex
from novicegym.grading.grader import Grader, shared_grader
from novicegym.grading.known_programs import Writers, logged_solutions, without_writer

LONGEST_ALIGNED = 8_000
"""Characters of a program that is aligned with others, which takes time with the square. Few
programs of a first course have a quarter of them."""
_ALIGNED = 4
"""Programs that are aligned with the student's, of those nearest by their features."""


def in_names_of(program: str, code: str, fixed_names: frozenset[str]) -> str:
    """Return `adopt_names` of the two, with no variable named as what is none in `code`.

    Those are its functions, modules, attributes and keywords, where it parses.
    """
    source = Source(code)
    taken = {node.attr for node in source.nodes(ast.Attribute)} | set(source.functions)
    taken |= {node.arg for node in source.nodes(ast.keyword) if node.arg}
    for node in source.nodes(ast.Import, ast.ImportFrom):
        taken |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return adopt_names(program, code, fixed_names | taken - set(source.variables))


@dataclass(frozen=True, slots=True)
class _Known:
    given: tuple[str, ...]
    logged: list[Writers]
    index: CodeIndex
    """Of the given, then of the logged. How a program's names are chosen makes no difference."""


class CorrectPrograms:
    """An assignment's own solutions and what other students have finished with."""

    def __init__(self, course: Course, grader: Grader | None = None) -> None:
        """grader: None for the shared one."""
        self._logs, self._grader = LogIndex(course), grader
        self._known: dict[str, _Known] = {}

    def nearest(
        self, assignment: Assignment, code: str, student_id: str, fixed_names: frozenset[str]
    ) -> str | None:
        """Return the correct program nearest to `code`, in its names where they align.

        A program that is not correct any more with other names keeps its own, and so does one for
        a `code` too long to align. Equally near ones: the assignment's own first. None where none
        is known but this student's. Grades an assignment's log on first use.
        """
        known = self._of(assignment)
        peers = without_writer(known.logged, student_id)
        texts = [*known.given, *(next(iter(writers.values()), None) for writers in peers)]
        is_short = len(code) <= LONGEST_ALIGNED
        distances = known.index.distances(code if is_short else "")
        given = len(known.given)
        # By the text, not by the place: the places depend on the log of the student who asks.
        found = sorted(
            (float(distances[place]), place >= given, text)
            for place, text in enumerate(texts)
            if text is not None
        )
        few = [text for _, _, text in found if len(text) <= LONGEST_ALIGNED][:_ALIGNED]
        if not few or not is_short:
            return found[0][2] if found else None
        renamed = {in_names_of(text, code, fixed_names): text for text in few}
        near = nearest(code, list(renamed))
        if near is None or self._is_correct(assignment, near):
            return near
        return renamed[near]

    def _is_correct(self, assignment: Assignment, program: str) -> bool:
        return (self._grader or shared_grader()).grade(assignment, program).correct

    def _of(self, assignment: Assignment) -> _Known:
        if assignment.id not in self._known:
            grader = self._grader or shared_grader()
            logged = logged_solutions(self._logs, assignment, grader)
            texts = [*assignment.solutions, *(next(iter(one.values())) for one in logged)]
            self._known[assignment.id] = _Known(assignment.solutions, logged, CodeIndex(texts))
        return self._known[assignment.id]
