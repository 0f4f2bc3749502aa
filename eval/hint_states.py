"""The states in which a student could be helped, and what she did next: from logs and from records.

A state is a student after a submission that is not correct. She is *helped* in it when, before
her next submission, she asked for a hint (logs) or the tutor said something (simulation). What
follows are her next submissions, up to the first correct one.

In the logs a trajectory that ends is a student who stopped. An episode that ends at its horizon or
with the log says nothing of the kind: what would have come after is unknown, not a failure. How far
it could have gone follows from the rules of our protocols, by the column `protocol`; of another
protocol it is not known.

Covered: logs with `HintRequest`s, episode records (`novicegym.eval.records`) with or without a
tutor's column `message`: what was said before the step. Not covered: help before the first
submission, and the first step of an episode where neither another record of the run nor a graded
log tells which submission it started from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, TypeAlias

import pyarrow as pa

from novicegym.courses.model import Course, Trajectory
from novicegym.courses.readers.hint_requests import HintRequest
from novicegym.errors import UsageError
from novicegym.eval.episodes import PROTOCOLS
from novicegym.grading.grader import Grader
from novicegym.grading.regrade import grade_trajectories, until_correct


@dataclass(frozen=True, slots=True)
class Graded:
    """A submission and what the grader says of it."""

    code: str
    grade: Fraction
    outcome: str


@dataclass(frozen=True, slots=True)
class HintState:
    """A student after a submission that is not correct."""

    student_id: str
    assignment_id: str
    number: int
    """Submissions she has made to the assignment, the last one included."""
    past: tuple[Graded, ...]
    """Those of them that are known, oldest first: all in the logs, at least the last always."""
    following: tuple[Graded, ...]
    """What came next, up to the first correct one."""
    ended: bool
    """Whether nothing comes after `following`; False where the episode was cut."""
    helped: bool
    """Whether she asked, or was told something, before the next submission."""
    helped_before: bool
    """Whether that was so in an earlier state of the same trajectory or episode."""
    could_follow: int | None = field(default=None, compare=False)
    """The most submissions that could have come next, whatever she did; None where nothing cuts
    them off, as in the logs, or where that is not known."""
    at: datetime | None = None
    """When the last submission was made; None in records."""

    @property
    def now(self) -> Graded:
        """The last submission."""
        return self.past[-1]


@dataclass(frozen=True, slots=True)
class HintLog:
    """The states of a log, and what became of its hint requests."""

    states: tuple[HintState, ...]
    """By student, assignment and number."""
    requests: int
    """All of them: in a state, before the first submission and after the first correct one."""
    before_first: int
    """Requests before the first submission to an assignment."""
    after_correct: int
    same_code: int
    """Requests in a state whose code is that of the last submission."""

    @property
    def in_states(self) -> int:
        """Requests in a state; several in one state count each."""
        return self.requests - self.before_first - self.after_correct


GradedLogs: TypeAlias = Mapping[tuple[str, str], tuple[Graded, ...]]
"""By student and assignment, what she submitted, up to the first correct one."""


def graded_logs(course: Course, grader: Grader) -> dict[tuple[str, str], tuple[Graded, ...]]:
    """Return the submissions of a course as GradedLogs, by key."""
    trajectories = sorted(course.trajectories, key=lambda trajectory: trajectory.key)
    verdicts = grade_trajectories(course, trajectories, grader)
    return {
        trajectory.key: tuple(
            Graded(one.code, verdict.grade, verdict.outcome)
            for one, verdict in zip(
                until_correct(trajectory, judged).submissions, judged, strict=False
            )
        )
        for trajectory, judged in zip(trajectories, verdicts, strict=True)
    }


def logged_states(course: Course, requests: Sequence[HintRequest], grader: Grader) -> HintLog:
    """Return the states of a course and in which of them students asked.

    requests: of the same log, see `courses.readers.hint_requests`; those on assignments that the
    course has no trajectory of count as made before the first submission. Raises UsageError where
    one comes after more submissions than the course has: the course was curated.
    """
    asked: dict[tuple[str, str], list[HintRequest]] = defaultdict(list)
    for request in requests:
        asked[request.student_id, request.assignment_id].append(request)
    logs = graded_logs(course, grader)
    made = {trajectory.key: trajectory for trajectory in course.trajectories}
    states: list[HintState] = []
    before_first = sum(request.after == 0 for request in requests)
    after_correct = same_code = 0
    for key, graded in logs.items():
        here = asked.get(key, [])
        _check_after(made[key], here)
        mine = list(_trajectory_states(made[key], graded, {one.after for one in here}))
        states += mine
        last = {state.number: state.now.code for state in mine}
        after_correct += sum(one.after > len(mine) for one in here)
        same_code += sum(last.get(one.after) == one.code for one in here)
    for key, here in asked.items():
        if key not in logs and any(one.after for one in here):
            raise UsageError(
                f"student {key[0]!r} asked for hints between submissions to {key[1]!r}, and the "
                "course has none of them; give the requests and the course of one log"
            )
    return HintLog(tuple(states), len(requests), before_first, after_correct, same_code)


def _trajectory_states(
    trajectory: Trajectory, graded: tuple[Graded, ...], asked: set[int]
) -> Iterable[HintState]:
    for number, one in enumerate(graded, start=1):
        if one.grade == 1:
            return
        yield HintState(
            *trajectory.key,
            number=number,
            past=graded[:number],
            following=graded[number:],
            ended=True,
            helped=number in asked,
            helped_before=any(0 < earlier < number for earlier in asked),
            at=trajectory.submissions[number - 1].at,
        )


def _check_after(trajectory: Trajectory, requests: Sequence[HintRequest]) -> None:
    most = max((one.after for one in requests), default=0)
    if most > len(trajectory.submissions):
        raise UsageError(
            f"student {trajectory.student_id!r} asked for a hint after submission {most} to "
            f"{trajectory.assignment_id!r}, and the course has {len(trajectory.submissions)}; give "
            "the course as it was loaded, before curation"
        )


_COLUMNS = (
    "student_id",
    "assignment_id",
    "position",
    "step",
    "logged_code",
    "logged_grade_num",
    "logged_grade_den",
    "logged_outcome",
    "generated_code",
    "grade_num",
    "grade_den",
    "outcome",
    "stop",
)
_OPTIONAL = ("message", "protocol")

_Row: TypeAlias = dict[str, Any]


def simulated_states(
    records: Sequence[pa.Table], logs: GradedLogs | None = None
) -> tuple[HintState, ...]:
    """Return the states of simulated episodes and in which of them the tutor said something.

    records: one table a run. Runs with a tutor and runs without one, whose records have no
    `message`, may be given together: what was said decides, not the run. White space alone says
    nothing. logs: what the episodes started from, where the records themselves do not tell: from
    protocols with one start a trajectory, nothing is known of the first message without it.
    Raises UsageError for records without the columns needed, and for a step that a table holds
    twice.
    """
    states: list[HintState] = []
    for table in records:
        there = table.column_names
        missing = [name for name in _COLUMNS if name not in there]
        if missing:
            raise UsageError(f"the records have no column {', '.join(missing)}")
        logged = {
            (*key, number): one
            for key, made in (logs or {}).items()
            for number, one in enumerate(made, start=1)
        }
        episodes: dict[tuple[str, str, int], dict[int, _Row]] = defaultdict(dict)
        for row in table.select(
            [name for name in (*_COLUMNS, *_OPTIONAL) if name in there]
        ).to_pylist():
            student, assignment = row["student_id"], row["assignment_id"]
            episode = episodes[student, assignment, row["position"]]
            if row["step"] in episode:
                raise UsageError(
                    f"the records hold step {row['step']} of student {student!r}, assignment "
                    f"{assignment!r}, position {row['position']} twice; give each run its own table"
                )
            episode[row["step"]] = row
            if row["logged_code"] is not None:
                place = (student, assignment, row["position"] + row["step"])
                logged[place] = _graded(row, "logged_code", "logged_")
        for (student, assignment, position), rows in sorted(episodes.items()):
            past: list[Graded] = []
            for number in range(position, 0, -1):
                if (student, assignment, number) not in logged:
                    break
                past.insert(0, logged[student, assignment, number])
            states += _episode_states(student, assignment, position, past, rows)
    return tuple(states)


def _episode_states(
    student: str, assignment: str, position: int, past: list[Graded], rows: dict[int, _Row]
) -> Iterable[HintState]:
    made: list[Graded] = []
    said: list[bool] = []
    stop = ""
    for _, row in sorted(rows.items()):
        if row["generated_code"] is None and not row["stop"]:
            break  # the policy had stopped before
        said.append(bool((row.get("message") or "").strip()))
        stop = row["stop"] or ""
        if row["generated_code"] is not None:
            made.append(_graded(row, "generated_code", ""))
    ended = stop in ("correct", "exit")
    most = _most_steps(rows)
    for step, helped in enumerate(said):
        known = (*past, *made[:step])
        if known and known[-1].grade != 1:
            yield HintState(
                student,
                assignment,
                number=position + step,
                past=known,
                following=tuple(made[step:]),
                ended=ended,
                helped=helped,
                helped_before=any(said[:step]),
                could_follow=None if most is None else most - step,
            )


def _most_steps(rows: dict[int, _Row]) -> int | None:
    """Return how many steps an episode could have; None where its protocol is none of ours."""
    protocol = PROTOCOLS.get(next(iter(rows.values())).get("protocol") or "")
    if protocol is None:
        return None
    # Where an episode ends with the log there is a row for each step up to there.
    return protocol.rules.horizon if protocol.rules.past_log else max(rows)


def _graded(row: _Row, code: str, prefix: str) -> Graded:
    grade = Fraction(row[f"{prefix}grade_num"], row[f"{prefix}grade_den"])
    return Graded(row[code], grade, row[f"{prefix}outcome"])
