"""How much each message of a trial gives away: measured once, and kept beside the records.

Leaks are measured against the assignment's solutions and the correct programs that other students
logged; those and the submissions that messages are about are graded again, which the grader's
store makes cheap. A leak takes some milliseconds, so what an arm's messages gave away is kept in
leaks.json in its folder, with a hash of all that it depends on: the messages and the programs that
they are about, the courses, and the code of this package that measures and grades. Where that is
another, or the file is damaged, leaks are measured anew.

Covered: the leak of each message, and of all messages of an episode together. Not covered: what is
made of them, which is `novicegym.eval.trial_episodes`.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, TypeAlias

from novicegym.courses.fingerprint import course_fingerprint
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import assignment_text
from novicegym.grading.grader import Grader
from novicegym.grading.known_programs import KnownPrograms
from novicegym.rewards.said_code import shown_programs
from novicegym.rewards.tutoring import TutorTransition, given_away, given_away_in_all
from novicegym.runs import write_atomically

EpisodeKey: TypeAlias = tuple[str, str, int]
"""(student, assignment, submissions before the start)."""

Progress: TypeAlias = Callable[[int, int], None]

_MEASURING = ("rewards", "grading", "courses", "dialogs", "eval")
"""Subpackages whose code leaks depend on."""


class Message(NamedTuple):
    """Something that a tutor said."""

    step: int
    """Of the submission that follows it, from 1."""
    text: str
    code: str
    """The submission that it is about."""


class Leaks(NamedTuple):
    """What the messages of one episode give away."""

    by_step: dict[int, float]
    """Of each message alone."""
    total: float
    """Of all together, against the program before the first of them."""


def kept_leaks(
    messages: Mapping[EpisodeKey, Sequence[Message]],
    course: Course,
    pool: Course,
    grader: Grader,
    folder: Path,
    progress: Progress = lambda done, total: None,
) -> dict[EpisodeKey, Leaks]:
    """Return what `measure_leaks` does, from `folder` if it is there, and else keep it there."""
    path = folder / "leaks.json"
    depends_on = _hash_of(messages, course, pool)
    found = _read(path, depends_on)
    if found is None:
        found = measure_leaks(messages, course, pool, grader, progress)
        rows = [[*key, list(one.by_step.items()), one.total] for key, one in found.items()]
        content = json.dumps({"of": depends_on, "leaks": rows})
        write_atomically(path, f"{content}\n".encode())
    return found


def measure_leaks(
    messages: Mapping[EpisodeKey, Sequence[Message]],
    course: Course,
    pool: Course,
    grader: Grader,
    progress: Progress = lambda done, total: None,
) -> dict[EpisodeKey, Leaks]:
    """Return what the messages of each episode give away.

    course: with the assignments. pool: the logs with the correct programs of other students.
    progress: called with (episodes done, episodes in all).
    """
    told = [(key, one) for key, said in messages.items() for one in said]
    verdicts = grader.grade_batch([(course.assignment(key[1]), one.code) for key, one in told])
    graded = {(key, one.step): verdict for (key, one), verdict in zip(told, verdicts, strict=True)}
    known = KnownPrograms(pool, grader)
    found = {}
    for done, (key, said) in enumerate(messages.items()):
        progress(done, len(messages))
        student, assignment = key[0], course.assignment(key[1])
        transitions = [
            TutorTransition(
                message=one.text,
                message_tokens=None,
                code_before=one.code,
                verdict_before=graded[key, one.step],
                code_after=None,
                verdict_after=None,
                solutions=known.for_student(
                    assignment, student, one.code, shown_programs(one.text)
                ),
                prompt=assignment_text(assignment),
                step=one.step,
                horizon=one.step,
                done=False,
            )
            for one in said
        ]
        total = 0.0
        if said:
            shown = [program for one in said for program in shown_programs(one.text)]
            total = given_away_in_all(
                transitions, known.for_student(assignment, student, said[0].code, shown)
            )
        found[key] = Leaks({one.step: abs(given_away(one)) for one in transitions}, total)
    progress(len(messages), len(messages))
    return found


def _read(path: Path, depends_on: str) -> dict[EpisodeKey, Leaks] | None:
    """Return what is kept, or None where it is of something else, or nothing is."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        if kept["of"] != depends_on:
            return None
        return {
            (student, assignment, position): Leaks(dict(by_step), total)
            for student, assignment, position, by_step, total in kept["leaks"]
        }
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _hash_of(messages: Mapping[EpisodeKey, Sequence[Message]], course: Course, pool: Course) -> str:
    said = [(key, [tuple(one) for one in told]) for key, told in messages.items()]
    # The fingerprint is of programs alone, and what a log calls wrong is not looked at.
    grades = [[one.logged_grade for one in each.submissions] for each in pool.trajectories]
    parts = (said, grades, course_fingerprint(course), course_fingerprint(pool), _own_code())
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _own_code() -> str:
    """Return a hash of the code that measures, and of the Python that parses."""
    digest = hashlib.sha256(platform.python_version().encode())
    for package in _MEASURING:
        sources = Path(str(files(f"novicegym.{package}")))
        for path in sorted(sources.rglob("*.py")):
            digest.update(f"{path.relative_to(sources)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
