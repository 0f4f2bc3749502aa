"""Splits: parts of a course for training and evaluation, each again a course.

Covered: by term, by student, by assignment (seen and unseen), and a random number of
trajectories. Every random split is a seeded permutation of the sorted ids, so it does not
depend on the order of the log. Splits read nothing but ids and may be applied one after
another: unseen students on unseen assignments is a student split of an assignment split.

As text, one selector names one part:

    term:Fall 2024
    students:0.2:seed=0:first        a fifth of the students
    students:0.2:seed=0:rest         the others
    assignments:0.25:seed=0:first    a quarter of the assignments
    assignments:oneToN,kthDigit:rest all assignments but these two
    trajectories:1000:seed=0         a thousand trajectories

The seed is 0 and the part `first` where the text names none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from novicegym.courses.model import Course
from novicegym.courses.selection import Pick, Selection
from novicegym.errors import UsageError, unknown_name

# Streams of the one seed a user gives: equal seeds must not tie unlike splits together.
_STUDENTS, _ASSIGNMENTS, _TRAJECTORIES = range(3)


def take_term(course: Course, term: str) -> Course:
    """Return the trajectories of `term`; raises UsageError when there are none."""
    selection = Selection.everything(course)
    picks = [pick for pick in selection.picks if pick.term == term]
    if not picks:
        terms = {pick.term for pick in selection.picks if pick.term is not None}
        raise unknown_name("term", term, terms)
    return selection.with_picks(picks).course()


def split_students(course: Course, fraction: float, seed: int = 0) -> tuple[Course, Course]:
    """Return (the trajectories of a `fraction` of the students, those of the others)."""
    return take_students(course, draw_students(course, fraction, seed))


def draw_students(course: Course, fraction: float, seed: int = 0) -> set[str]:
    """Return the ids of a `fraction` of the students."""
    students = {pick.student_id for pick in Selection.everything(course).picks}
    return _draw(students, fraction, seed, _STUDENTS, "students")


def take_students(course: Course, ids: Iterable[str]) -> tuple[Course, Course]:
    """Return (the trajectories of the students `ids`, those of the others); either may be empty."""
    chosen = set(ids)
    return _partition(Selection.everything(course), lambda pick: pick.student_id in chosen)


def split_assignments(course: Course, fraction: float, seed: int = 0) -> tuple[Course, Course]:
    """Return (a `fraction` of the assignments with their trajectories, the others)."""
    selection = Selection.everything(course)
    chosen = _draw(selection.assignments, fraction, seed, _ASSIGNMENTS, "assignments")
    return _by_assignment(selection, chosen)


def take_assignments(course: Course, ids: Iterable[str]) -> tuple[Course, Course]:
    """Return (the assignments `ids` with their trajectories, the others)."""
    chosen = {course.assignment(assignment_id).id for assignment_id in ids}
    return _by_assignment(Selection.everything(course), chosen)


def sample_trajectories(course: Course, count: int, seed: int = 0) -> Course:
    """Return `count` trajectories, or all where there are fewer, in the course's order."""
    if count < 1:
        raise UsageError(f"a sample has at least 1 trajectory, got {count}")
    selection = Selection.everything(course)
    ordered = sorted(selection.picks, key=lambda pick: (pick.student_id, pick.assignment_id))
    drawn = np.random.default_rng([seed, _TRAJECTORIES]).permutation(len(ordered))[:count]
    chosen = {ordered[i].index for i in drawn}
    return selection.with_picks(p for p in selection.picks if p.index in chosen).course()


def take_split(course: Course, selector: str) -> Course:
    """Return the part of `course` that `selector` names; the module's text shows the forms."""
    kind, _, rest = selector.partition(":")
    if kind not in _FORMS:
        raise unknown_name("split", kind, _FORMS)
    if kind == "term":
        return take_term(course, rest)
    argument, seed, part = _read_options(selector, rest)
    if kind == "trajectories":
        if not argument.isdecimal() or part is not None:
            raise _malformed(selector)
        return sample_trajectories(course, int(argument), seed or 0)
    if kind == "assignments" and _fraction(argument) is None:
        if seed is not None:
            raise UsageError(f"split {selector!r} names its assignments, so it takes no seed")
        parts = take_assignments(course, argument.split(","))
    else:
        fraction = _fraction(argument)
        if fraction is None:
            raise _malformed(selector)
        split = split_students if kind == "students" else split_assignments
        parts = split(course, fraction, seed or 0)
    return parts[1 if part == "rest" else 0]


_FORMS = {
    "term": "term:NAME",
    "students": "students:FRACTION[:seed=N][:first|rest]",
    "assignments": "assignments:FRACTION[:seed=N][:first|rest] or assignments:ID,ID[:first|rest]",
    "trajectories": "trajectories:COUNT[:seed=N]",
}


def _malformed(selector: str) -> UsageError:
    return UsageError(
        f"split {selector!r} is not understood; write it as {_FORMS[selector.partition(':')[0]]}"
    )


def _read_options(selector: str, text: str) -> tuple[str, int | None, str | None]:
    """Split "0.2:seed=3:rest" into (argument, seed, part)."""
    argument, *options = text.split(":")
    seed: int | None = None
    part: str | None = None
    for option in options:
        match = re.fullmatch(r"seed=(\d+)", option)
        if match and seed is None:
            seed = int(match[1])
        elif option in ("first", "rest") and part is None:
            part = option
        else:
            raise _malformed(selector)
    if not argument:
        raise _malformed(selector)
    return argument, seed, part


def _fraction(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _draw(ids: Iterable[str], fraction: float, seed: int, stream: int, noun: str) -> set[str]:
    if not 0 < fraction < 1:
        raise UsageError(f"the fraction of {noun} must be between 0 and 1, got {fraction}")
    ordered: Sequence[str] = sorted(ids)
    count = int(fraction * len(ordered) + 0.5)
    if not 0 < count < len(ordered):
        raise UsageError(
            f"a fraction of {fraction} of {len(ordered)} {noun} leaves one part empty; "
            "use a fraction nearer to 0.5 or a larger course"
        )
    drawn = np.random.default_rng([seed, stream]).permutation(len(ordered))[:count]
    return {ordered[i] for i in drawn}


def _partition(selection: Selection, first: Callable[[Pick], bool]) -> tuple[Course, Course]:
    return (
        selection.with_picks(pick for pick in selection.picks if first(pick)).course(),
        selection.with_picks(pick for pick in selection.picks if not first(pick)).course(),
    )


def _by_assignment(selection: Selection, chosen: set[str]) -> tuple[Course, Course]:
    others = set(selection.assignments) - chosen
    return (
        selection.with_assignments(chosen).course(),
        selection.with_assignments(others).course(),
    )
