"""One arm's episodes with what came of them: what a trial of tutors compares.

An episode's outcomes, from its records:

- solved        1 if a submission was fully correct within the horizon
- submissions   up to the first fully correct one; an episode that is not solved counts as the
                horizon, whether it ran to it or the student gave up. Its mean is the restricted
                mean time to success: Royston and Parmar, Restricted mean survival time, BMC
                Medical Research Methodology 13:152, 2013
- final_grade   of the last graded submission; where the student gave up at once, of the one that
                the episode starts from
- leak_mean     mean leak of the messages said (`novicegym.rewards.tutoring`, 0 for none said)
- leak_max      the largest of them
- leak_total    leak of all messages together, against what the student had before the first: what
                a solution costs that is told line by line
- messages      said; white space alone says nothing
- failures      share of the times it was asked that the tutor failed

Skill is the mean grade of the submissions that the student had made when the tutor came: it is
known before the first message, so no arm can change it.

Covered: records with a tutor's columns of any protocol. Not covered: measuring leaks, which is
`novicegym.eval.trial_leaks`; comparing arms, which is `novicegym.eval.trial`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from novicegym.courses.log_index import LogIndex
from novicegym.courses.model import Course
from novicegym.errors import UsageError
from novicegym.eval.trial_leaks import (
    EpisodeKey,
    Message,
    Progress,
    kept_leaks,
    measure_leaks,
)
from novicegym.grading.grader import Grader
from novicegym.grading.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that an arm may change."""

    name: str
    label: str
    of_students: bool
    """Whether it is what the student does; else what the tutor says."""


OUTCOMES = (
    Outcome("solved", "share solved", True),
    Outcome("submissions", "submissions to success", True),
    Outcome("final_grade", "final grade", True),
    Outcome("leak_mean", "leak, mean", False),
    Outcome("leak_max", "leak, largest", False),
    Outcome("leak_total", "leak, in all", False),
    Outcome("messages", "messages said", False),
    Outcome("failures", "tutor failures", False),
)
"""In the order of tables; `TutoredEpisode` has an attribute of each name."""


class Turn(NamedTuple):
    """What the tutor said, and what the student submitted then."""

    message: str
    """"" for nothing."""
    failure: str
    """Why nothing was said, where the tutor failed; else ""."""
    leak: float
    code: str
    grade: Fraction | None
    """None where the student gave up."""
    outcome: str
    """Of the submission, a `grading.verdict.Outcome`; "exit" where the student gave up."""


@dataclass(frozen=True, slots=True)
class TutoredEpisode:
    """One episode of one arm; the properties are its outcomes, see the module."""

    key: EpisodeKey
    before: tuple[tuple[str, Verdict], ...]
    """The logged submissions that it starts from."""
    turns: tuple[Turn, ...]
    horizon: int
    leak_total: float = 0.0
    """Of all messages together, against the program before the first of them."""

    @property
    def solved(self) -> float:
        return float(self.turns[-1].grade == 1)

    @property
    def submissions(self) -> float:
        return float(len(self.turns) if self.solved else self.horizon)

    @property
    def final_grade(self) -> float:
        grades = [turn.grade for turn in self.turns if turn.grade is not None]
        return float(grades[-1] if grades else self.before[-1][1].grade)

    @property
    def leak_mean(self) -> float:
        leaks = [turn.leak for turn in self.turns if turn.message]
        return sum(leaks) / len(leaks) if leaks else 0.0

    @property
    def leak_max(self) -> float:
        return max(turn.leak for turn in self.turns)

    @property
    def messages(self) -> float:
        return float(sum(bool(turn.message) for turn in self.turns))

    @property
    def failures(self) -> float:
        return sum(bool(turn.failure) for turn in self.turns) / len(self.turns)

    @property
    def skill(self) -> float:
        """Mean grade of the submissions before the start."""
        return float(sum(verdict.grade for _, verdict in self.before) / len(self.before))


_COLUMNS = (
    *("student_id", "assignment_id", "position", "step", "completion", "generated_code"),
    *("grade_num", "grade_den", "outcome", "message", "tutor_failure"),
)


def tutored_episodes(
    records: pa.Table,
    course: Course,
    pool: Course,
    grader: Grader,
    *,
    horizon: int,
    kept_in: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> list[TutoredEpisode]:
    """Return the episodes of one arm's records, by their keys.

    course: the trajectories played. pool: the logs with the correct programs of other students.
    horizon: of the protocol. kept_in: a folder where leaks are kept from one call to the next.
    progress: called with (episodes whose leaks are measured, episodes in all). Raises UsageError
    for records without a tutor, of a trajectory that the course does not have, and of episodes
    that begin without a submission.
    """
    missing = sorted(set(_COLUMNS) - set(records.column_names))
    if missing:
        raise UsageError(
            f"the records have no column {', '.join(missing)}: they are not of a run with a tutor"
        )
    rows: dict[EpisodeKey, list[dict[str, Any]]] = defaultdict(list)
    for row in records.select(_COLUMNS).to_pylist():
        if row["completion"] is not None:
            rows[row["student_id"], row["assignment_id"], row["position"]].append(row)
    played = {key: sorted(rows[key], key=lambda row: row["step"]) for key in sorted(rows)}
    before = _prefixes(list(played), course, grader)
    messages = {
        key: [
            Message(
                place,
                row["message"],
                before[key][-1][0] if place == 1 else steps[place - 2]["generated_code"],
            )
            for place, row in enumerate(steps, 1)
            if row["message"]
        ]
        for key, steps in played.items()
    }
    if kept_in is None:
        leaks = measure_leaks(messages, course, pool, grader, progress)
    else:
        leaks = kept_leaks(messages, course, pool, grader, kept_in, progress)
    return [
        TutoredEpisode(
            key,
            before[key],
            tuple(
                _turn(row, leaks[key].by_step.get(place, 0.0)) for place, row in enumerate(steps, 1)
            ),
            horizon,
            leaks[key].total,
        )
        for key, steps in played.items()
    ]


def _turn(row: Mapping[str, Any], leak: float) -> Turn:
    gave_up = row["grade_num"] is None
    return Turn(
        message=row["message"],
        failure=row["tutor_failure"],
        leak=leak,
        code=row["completion"] if gave_up else row["generated_code"],
        grade=None if gave_up else Fraction(row["grade_num"], row["grade_den"]),
        outcome="exit" if gave_up else row["outcome"],
    )


def _prefixes(
    keys: Sequence[EpisodeKey], course: Course, grader: Grader
) -> dict[EpisodeKey, tuple[tuple[str, Verdict], ...]]:
    logs = LogIndex(course)
    codes: dict[EpisodeKey, list[str]] = {}
    for key in keys:
        student, assignment, position = key
        trajectory = logs.trajectory(student, assignment)
        if trajectory is None or not 1 <= position <= len(trajectory.submissions):
            raise UsageError(
                f"an episode starts after submission {position} of student {student!r} on "
                f"{assignment!r}, which course {course.name!r} does not have"
            )
        codes[key] = [one.code for one in trajectory.submissions[:position]]
    verdicts = iter(
        grader.grade_batch(
            [(course.assignment(key[1]), code) for key in keys for code in codes[key]]
        )
    )
    return {key: tuple((code, next(verdicts)) for code in codes[key]) for key in keys}
