"""The embedded course's students: the process model plays the environment, and is logged.

280 students in two terms each do 7 to 10 of the course's assignments, at most one a lesson.
Each trajectory is an episode of free play (`envs.episode`) with feedback at level `full`; what
was submitted and what the grader said of it becomes the log. Giving up (`exit()`) ends the
episode and is not itself logged.

Covered: any subset of the students; student i depends on (seed, i) and the assignments only.
Not covered: writing the course (`courses.store`); another course than cs1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from novicegym.agents.base import completion
from novicegym.agents.novice import GIVE_UP, fixed_names, on_assignment
from novicegym.agents.novice_process import first_submission, gives_up, next_submission
from novicegym.agents.novice_student import Novice, Process, draw_novice, read_feedback
from novicegym.agents.novice_style import restyle
from novicegym.courses.cs1.build import load_assignments
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.dialogs.serialize import DialogFormat
from novicegym.envs.episode import Episode, EpisodeRules, Start, begin, play
from novicegym.errors import UsageError
from novicegym.grading.feedback import render_feedback
from novicegym.grading.grader import Grader, shared_grader
from novicegym.rewards.base import NoReward


@dataclass(frozen=True, slots=True)
class Term:
    """One group of students."""

    name: str
    code: str
    """Stands in the student ids."""
    begins: datetime
    students: int


TERMS = (
    Term("Fall 2024", "f24", datetime(2024, 8, 12), 140),
    Term("Spring 2025", "s25", datetime(2025, 1, 9), 140),
)

MOST_SUBMISSIONS = 60
"""No student submits more often to one assignment."""

_COUNTS, _COUNT_SHARES = (7, 8, 9, 10), (0.25, 0.35, 0.3, 0.1)
_DAYS_PER_LESSON = 3.5


def simulate_course(
    seed: int,
    students: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    grader: Grader | None = None,
    process: Process | None = None,
) -> Course:
    """Return cs1 with the logs of its students, or of those with these indices.

    progress: called with (trajectories done, trajectories in all). All are played in lockstep,
    so that each round of submissions is graded as one batch.
    """
    assignments = load_assignments()
    process, grader = process or Process(), grader or shared_grader()
    total = sum(term.students for term in TERMS)
    seats: list[_Seat] = []
    for index in range(total) if students is None else students:
        if not 0 <= index < total:
            raise UsageError(f"student index must be 0 to {total - 1}, got {index}")
        seats += _seats(seed, index, assignments, process)
    rules = EpisodeRules(horizon=MOST_SUBMISSIONS, exit_ends_episode=True)
    starts = [Start(seat.assignment, seat.student_id, seat.term.name) for seat in seats]
    episodes = begin(starts, rules, grader)
    playing = list(zip(seats, episodes, strict=True))
    while playing:
        completions = [_submission(seat, episode, process) for seat, episode in playing]
        play([episode for _, episode in playing], completions, grader, NoReward())
        playing = [(seat, episode) for seat, episode in playing if not episode.stop]
        if progress is not None:
            progress(len(seats) - len(playing), len(seats))
    logs = tuple(_logged(seat, episode) for seat, episode in zip(seats, episodes, strict=True))
    return Course("cs1", assignments, logs, synthetic=True)


@dataclass(frozen=True, slots=True)
class _Seat:
    """One student on one assignment."""

    term: Term
    student_id: str
    novice: Novice
    assignment: Assignment
    programs: tuple[str, ...]
    """Two solutions in the student's hand: the one in mind, and one to start over with."""
    begins: datetime
    key: tuple[int, int, int]
    """(seed, student index, number of the assignment): what all its random choices come from."""


def _seats(
    seed: int, index: int, assignments: dict[str, Assignment], process: Process
) -> list[_Seat]:
    term, number = _term(index)
    rng = np.random.default_rng([seed, index])
    novice = draw_novice(rng, process)
    lessons: dict[str, list[Assignment]] = {}
    for assignment in assignments.values():
        lessons.setdefault(assignment.lesson or assignment.id, []).append(assignment)
    count = int(rng.choice(_COUNTS, p=_COUNT_SHARES))
    done = np.sort(rng.choice(len(lessons), size=min(count, len(lessons)), replace=False))
    seats: list[_Seat] = []
    for place in done:
        variants = list(lessons.values())[int(place)]
        # Teachers set the first variant of a lesson more often, so that one is the most done.
        assignment = variants[0 if rng.random() < 0.65 else int(rng.integers(len(variants)))]
        key = (seed, index, list(assignments).index(assignment.id))
        own = np.random.default_rng(key)
        today = _practised(novice, len(seats) * process.learning)
        released = term.begins + timedelta(days=_DAYS_PER_LESSON * int(place))
        seats.append(
            _Seat(
                term=term,
                student_id=f"sim-{term.code}-{number + 1:03d}",
                novice=on_assignment(today, own, process),
                assignment=assignment,
                programs=_own_programs(novice, assignment, own),
                begins=released
                + timedelta(
                    days=int(min(6, own.exponential(1.2))),
                    seconds=int(3600 * own.triangular(8, 20, 23)),
                ),
                key=key,
            )
        )
    return seats


def _term(index: int) -> tuple[Term, int]:
    for term in TERMS:
        if index < term.students:
            return term, index
        index -= term.students
    raise AssertionError("the caller checks the range")


def _practised(novice: Novice, gain: float) -> Novice:
    skills = {topic: skill + gain for topic, skill in novice.skills.items()}
    return replace(novice, skills=skills)


def _own_programs(
    novice: Novice, assignment: Assignment, rng: np.random.Generator
) -> tuple[str, ...]:
    names = fixed_names(assignment)
    order = rng.permutation(len(assignment.solutions))[:2]
    return tuple(
        restyle(assignment.solutions[int(i)], assignment.title, names, novice.style, rng)
        for i in order
    )


def _submission(seat: _Seat, episode: Episode, process: Process) -> str:
    rng = np.random.default_rng([*seat.key, episode.step])
    info = episode.info(reveal=False)
    if not episode.turns:
        code = first_submission(seat.novice, seat.programs[0], rng, process)
        return completion(code, info, DialogFormat())
    submitted = [code for code, _ in episode.turns]
    verdict = episode.turns[-1][1]
    shown = read_feedback("" if verdict is None else render_feedback(verdict, "full"))
    if gives_up(seat.novice, len(submitted), shown, rng, process):
        return completion(GIVE_UP, info, DialogFormat())
    code = next_submission(seat.novice, submitted, shown, seat.programs, rng, process)
    return completion(code, info, DialogFormat())


def _logged(seat: _Seat, episode: Episode) -> Trajectory:
    rng = np.random.default_rng([*seat.key, 0, 1])
    at = seat.begins
    submissions: list[Submission] = []
    for code, verdict in episode.turns:
        if verdict is None:
            continue
        # Most come within minutes; a student who leaves comes back hours later.
        seconds = rng.lognormal(math.log(80), 0.9)
        if submissions and rng.random() < 0.02:
            seconds += rng.lognormal(math.log(7200), 0.8)
        at += timedelta(seconds=max(5, int(seconds)))
        feedback = render_feedback(verdict, "summary")
        submissions.append(Submission(code, at, float(verdict.grade), feedback))
    return Trajectory(seat.student_id, seat.assignment.id, seat.term.name, tuple(submissions))
