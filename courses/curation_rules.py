"""The rules behind the curation steps, and the presets.

Each rule maps a `Selection` to a smaller one. Rules about assignments and lengths read
nothing; rules about grades and code stream through the selected trajectories once.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from novicegym.courses.model import Assignment, Trajectory
from novicegym.courses.selection import Selection
from novicegym.courses.suite import suite_to_json
from novicegym.courses.syntax import AST_KINDS, AstKind, ast_key, compiles
from novicegym.errors import UsageError

Apply: TypeAlias = Callable[[Selection], Selection]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a step's name stands for."""

    usage: str
    """How to write it, with its parameter: "min-submissions:N"."""
    description: str
    """What is kept, in one line."""
    build: Callable[[str], Apply]
    """From the text after the colon, "" when there is none; ValueError when it is no good."""


def _by_assignment(keep: Callable[[Assignment], bool]) -> Apply:
    def apply(selection: Selection) -> Selection:
        return selection.with_assignments(
            key for key, assignment in selection.assignments.items() if keep(assignment)
        )

    return apply


def _by_trajectory(keep: Callable[[Trajectory], Sequence[int]]) -> Apply:
    """Keep of each trajectory the submissions at the positions that `keep` returns."""

    def apply(selection: Selection) -> Selection:
        picks = []
        for pick, trajectory in zip(selection.picks, selection.trajectories, strict=True):
            positions = keep(trajectory)
            if len(positions) == len(pick.kept):
                picks.append(pick)
            elif positions:
                picks.append(replace(pick, kept=tuple(pick.kept[p] for p in positions)))
        return selection.with_picks(picks)

    return apply


def _all_or_none(keep: Callable[[Trajectory], bool]) -> Apply:
    return _by_trajectory(lambda t: range(len(t.submissions)) if keep(t) else ())


def _has_csv(assignment: Assignment) -> bool:
    return ".csv" in assignment.prompt or ".csv" in json.dumps(suite_to_json(assignment.tests))


def _top_assignment_per_lesson(selection: Selection) -> Selection:
    submissions: Counter[str] = Counter()
    for pick in selection.picks:
        submissions[pick.assignment_id] += len(pick.kept)
    lessons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in sorted(submissions):
        lesson = selection.assignments[key].lesson
        # An assignment whose lesson is not known stands for itself.
        lessons[("lesson", lesson) if lesson is not None else ("assignment", key)].append(key)
    # max() keeps the first of equals: the smallest id.
    return selection.with_assignments(
        max(keys, key=lambda key: submissions[key]) for keys in lessons.values()
    )


def _needs_grade(trajectory: Trajectory, position: int, why: str) -> UsageError:
    return UsageError(
        f"{why} needs the grade of submission {position + 1} of student "
        f"{trajectory.student_id!r} on {trajectory.assignment_id!r}, which the log does not tell; "
        "grade the course again first (--regrade)"
    )


def _passed_one_test(trajectory: Trajectory) -> bool:
    unknown = None
    for position, submission in enumerate(trajectory.submissions):
        if submission.logged_grade is None:
            unknown = position
        elif submission.logged_grade > 0:
            return True
    if unknown is not None:
        raise _needs_grade(trajectory, unknown, "curation step 'passed-one-test'")
    return False


def _last_grade(parameter: str) -> Apply:
    least = float(parameter or "nan")
    if not 0 <= least <= 1:
        raise ValueError(f"a grade in [0, 1] is needed, got {parameter!r}")

    def keep(trajectory: Trajectory) -> bool:
        grade = trajectory.submissions[-1].logged_grade
        if grade is None:
            last = len(trajectory.submissions) - 1
            raise _needs_grade(trajectory, last, "curation step 'last-grade'")
        return grade >= least

    return _all_or_none(keep)


def _until_correct(trajectory: Trajectory) -> Sequence[int]:
    for position, submission in enumerate(trajectory.submissions):
        if submission.logged_grade is None:
            raise _needs_grade(trajectory, position, "curation step 'stop-at-correct'")
        if submission.logged_grade == 1:
            return range(position + 1)
    return range(len(trajectory.submissions))


def _compiling(trajectory: Trajectory) -> Sequence[int]:
    return [p for p, submission in enumerate(trajectory.submissions) if compiles(submission.code)]


def _merge_duplicates(parameter: str) -> Apply:
    kinds: dict[str, AstKind] = {"": "exact", **{str(kind): kind for kind in AST_KINDS}}
    if parameter not in kinds:
        raise ValueError(f"the kinds of AST match are {', '.join(AST_KINDS)}; got {parameter!r}")
    kind = kinds[parameter]

    def keep(trajectory: Trajectory) -> Sequence[int]:
        positions: list[int] = []
        previous: str | None = None
        for position, submission in enumerate(trajectory.submissions):
            key = ast_key(submission.code, kind)
            if key != previous:
                positions.append(position)
            previous = key
        return positions

    return _by_trajectory(keep)


def _min_submissions(parameter: str) -> Apply:
    if not parameter.isdecimal() or int(parameter) < 1:
        raise ValueError(f"a number of at least 1 is needed, got {parameter!r}")
    least = int(parameter)
    return lambda selection: selection.with_picks(
        pick for pick in selection.picks if len(pick.kept) >= least
    )


def _mad_outliers(parameter: str) -> Apply:
    limit = float(parameter or "3.5")
    if not (math.isfinite(limit) and limit > 0):
        raise ValueError(f"a limit above 0 is needed, got {parameter!r}")

    def apply(selection: Selection) -> Selection:
        lengths: dict[str, list[int]] = defaultdict(list)
        for pick in selection.picks:
            lengths[pick.assignment_id].append(len(pick.kept))
        centre = {key: statistics.median(values) for key, values in lengths.items()}
        spread = {
            key: statistics.median(abs(value - centre[key]) for value in values)
            for key, values in lengths.items()
        }

        def ordinary(assignment_id: str, length: int) -> bool:
            mad = spread[assignment_id]
            return mad == 0 or abs(0.6745 * (length - centre[assignment_id]) / mad) <= limit

        return selection.with_picks(
            pick for pick in selection.picks if ordinary(pick.assignment_id, len(pick.kept))
        )

    return apply


RULES = {
    rule.usage.partition(":")[0].partition("[")[0]: rule
    for rule in (
        Rule(
            "labs-only",
            "assignments of kind 'lab' (10-50 lines)",
            lambda _: _by_assignment(lambda assignment: assignment.kind == "lab"),
        ),
        Rule(
            "top-assignment-per-lesson",
            "of each lesson the assignment with most submissions (the smaller id of equals)",
            lambda _: _top_assignment_per_lesson,
        ),
        Rule(
            "passed-one-test",
            "trajectories with a submission graded above 0",
            lambda _: _all_or_none(_passed_one_test),
        ),
        Rule(
            "drop-non-compiling",
            "submissions that compile",
            lambda _: _by_trajectory(_compiling),
        ),
        Rule(
            "merge-duplicates[:exact|renamed|alpha]",
            "the first of consecutive submissions with equal AST (default: exact)",
            _merge_duplicates,
        ),
        Rule(
            "last-grade:GRADE",
            "trajectories whose last submission is graded at least GRADE, in [0, 1]",
            _last_grade,
        ),
        Rule(
            "no-csv",
            "assignments that mention no .csv file in prompt or tests",
            lambda _: _by_assignment(lambda assignment: not _has_csv(assignment)),
        ),
        Rule(
            "no-exams",
            "assignments of any kind but 'exam'",
            lambda _: _by_assignment(lambda assignment: assignment.kind != "exam"),
        ),
        Rule(
            "min-submissions:N",
            "trajectories with at least N submissions",
            _min_submissions,
        ),
        Rule(
            "stop-at-correct",
            "submissions up to the first fully correct one",
            lambda _: _by_trajectory(_until_correct),
        ),
        Rule(
            "mad-outliers[:LIMIT]",
            "trajectories whose length is within LIMIT robust deviations of the assignment's "
            "median: |0.6745 (x - median) / MAD| (default: 3.5; MAD 0 keeps all)",
            _mad_outliers,
        ),
    )
}
"""Every rule by the name of its step."""

PRESETS: dict[str, tuple[str, ...]] = {
    "paper": (
        "labs-only",
        "top-assignment-per-lesson",
        "passed-one-test",
        "drop-non-compiling",
        "merge-duplicates",
    ),
    "published": (
        "last-grade:0.5",
        "no-csv",
        "labs-only",
        "no-exams",
        "top-assignment-per-lesson",
        "min-submissions:6",
        "merge-duplicates:renamed",
        "stop-at-correct",
        "min-submissions:3",
        "mad-outliers:3.5",
    ),
}
"""Lists of steps by name, in the order they are applied."""
