"""What a student can do once the tutor is gone: the same assignment again, and the next one.

Two questions are put when an episode has ended, as a reward for it wants (`rewards.tutoring`):

- post_solve: K programs from where the dialogue ended, each as if it were the next submission. All
  are the same student's; only the draw differs, by `info["sample"]`. Who submits without drawing
  gives the same program K times.
- retention: her first submission to the next assignment with a concept of this one. What she
  brings along is in `info["past"]`: the dialog with the tutor, to its end, and its info. Language
  models read it before the new assignment, as far as their context goes
  (`agents.language_model`); the novice may have got over a misconception. A student who does not
  look there has forgotten everything.

Covered: any student that listens, many episodes in one batch. Not covered: a student who is a
person or another process's, as in `tutoring_v0`; several assignments later.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from novicegym.courses.model import Assignment, Course
from novicegym.dialogs.extract import extract_code
from novicegym.envs.episode import Episode, Start
from novicegym.envs.partner import Partner, completions_of
from novicegym.grading.grader import Grader
from novicegym.rewards.tutoring import FollowUp


class Afterwards(NamedTuple):
    """What became of a student after an episode."""

    post_grades: tuple[Fraction, ...] = ()
    """Of K programs for the same assignment; none of a student who gave up."""
    retention_grade: Fraction | None = None
    """Of the first submission to the next assignment; None where there is none."""


def play_afterwards(
    episodes: Sequence[Episode],
    student: Partner,
    course: Course,
    grader: Grader,
    wanted: FollowUp,
) -> list[Afterwards]:
    """Return what `wanted` asks of each ended episode, in order; the episodes stay as they are."""
    post: list[tuple[Fraction, ...]] = [()] * len(episodes)
    later: list[Fraction | None] = [None] * len(episodes)
    if wanted.samples:
        post = _once_more(episodes, student, grader, wanted.samples)
    if wanted.retention:
        later = _next_ones(episodes, student, course, grader)
    return [Afterwards(*both) for both in zip(post, later, strict=True)]


def next_alike(course: Course, assignment: Assignment) -> Assignment | None:
    """Return the next assignment in the course's order with a concept of this one.

    Where no concepts are given, it is the next of the same lesson. None where there is none.
    """
    ordered = list(course.assignments.values())
    place = next((i for i, one in enumerate(ordered) if one.id == assignment.id), len(ordered))
    for other in ordered[place + 1 :]:
        if set(other.concepts) & set(assignment.concepts):
            return other
        if not assignment.concepts and assignment.lesson and other.lesson == assignment.lesson:
            return other
    return None


def _once_more(
    episodes: Sequence[Episode], student: Partner, grader: Grader, samples: int
) -> list[tuple[Fraction, ...]]:
    asked = [
        (place, sample)
        for place, episode in enumerate(episodes)
        if episode.stop != "exit"
        for sample in range(1, samples + 1)
    ]
    said = completions_of(
        student,
        [episodes[place].dialog() for place, _ in asked],
        [episodes[place].info(reveal=False) | {"sample": sample} for place, sample in asked],
    )
    verdicts = grader.grade_batch(
        [
            (
                episodes[place].start.assignment,
                extract_code(text, episodes[place].turns[-1][0]).code,
            )
            for (place, _), text in zip(asked, said, strict=True)
        ]
    )
    grades: list[list[Fraction]] = [[] for _ in episodes]
    for (place, _), verdict in zip(asked, verdicts, strict=True):
        grades[place].append(verdict.grade)
    return [tuple(of_one) for of_one in grades]


def _next_ones(
    episodes: Sequence[Episode], student: Partner, course: Course, grader: Grader
) -> list[Fraction | None]:
    grades: list[Fraction | None] = [None] * len(episodes)
    asked = [
        (place, episode, following)
        for place, episode in enumerate(episodes)
        if (following := next_alike(course, episode.start.assignment)) is not None
    ]
    dialogs, infos = [], []
    for _, episode, following in asked:
        start = Start(following, episode.start.student_id, episode.start.term)
        fresh = Episode(start, episode.rules, turns=[])
        past = {"dialog": episode.dialog(), "info": episode.info(reveal=False)}
        dialogs.append(fresh.dialog())
        infos.append(fresh.info(reveal=False) | {"past": past})
    said = completions_of(student, dialogs, infos)
    verdicts = grader.grade_batch(
        [
            (following, extract_code(text, None).code)
            for (_, _, following), text in zip(asked, said, strict=True)
        ]
    )
    for (place, _, _), verdict in zip(asked, verdicts, strict=True):
        grades[place] = verdict.grade
    return grades
