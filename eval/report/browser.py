"""What the trajectory browser shows: some episodes, every policy from the same starts.

Records hold codes, grades, outcomes and which tests passed; they hold no feedback text. So the
feedback shown is the grader's at level `summary`, made of these by its own function, without the
message of the error; and which tests failed. With the course at hand, its prompts and what the
tests run are shown, too. The submission a rollout starts from is in the records only as the target
of an earlier start: before the first start of a trajectory it is not known.

Programs and texts are stored once each and told by number. Covered: choosing episodes and making
JSON-able data of them. Not covered: differences between programs, which the page computes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias, cast, get_args

import numpy as np
import pyarrow as pa

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase
from novicegym.errors import UsageError
from novicegym.eval.report.policies import Policy
from novicegym.grading.feedback import grade_text, render_feedback
from novicegym.grading.verdict import CaseResult, Outcome, Verdict

LONGEST = 20_000
"""Characters of a program that are embedded; what is longer is cut and says so."""

_Start: TypeAlias = tuple[str, str, int]
_Row: TypeAlias = dict[str, Any]

_COLUMNS = (
    "student_id",
    "assignment_id",
    "position",
    "step",
    "logged_code",
    "logged_grade_num",
    "logged_grade_den",
    "logged_outcome",
    "logged_case_bits",
    "generated_code",
    "grade_num",
    "grade_den",
    "outcome",
    "case_bits",
    "stop",
)


def browser_data(
    policies: Sequence[Policy],
    *,
    episodes: int = 200,
    seed: int = 0,
    assignments: Mapping[str, Assignment] | None = None,
) -> dict[str, Any]:
    """Return what the page embeds as JSON: at most `episodes` starts, each with every policy.

    Of each policy the run of its lowest seed. Trajectories come in a random order, each with its
    earliest start first; further starts follow where there is room. Raises UsageError for fewer
    than one episode, and assignments that are those of another course.
    """
    if episodes < 1:
        raise UsageError(f"episodes must be at least 1, got {episodes}")
    shown = [one for one in policies if not one.is_students]
    tables = [one.tables[0] for one in shown]
    every = _starts(tables[0])
    chosen = sorted(_choose(every, episodes, seed))
    texts = _Texts()
    starts: dict[_Start, dict[str, Any]] = {
        start: {
            "student": start[0],
            "assignment": start[1],
            "position": start[2],
            "before": None,
            "logged": [],
            "played": [[] for _ in shown],
            "stops": ["" for _ in shown],
        }
        for start in chosen
    }
    trajectories = {start[:2] for start in chosen}
    for place, table in enumerate(tables):
        rows = _rows(table, trajectories)
        for row in rows:
            one = starts.get((row["student_id"], row["assignment_id"], row["position"]))
            if one is not None:
                if place == 0:
                    one["logged"].append(texts.turn(row, "logged_"))
                one["played"][place].append(texts.turn(row, ""))
                one["stops"][place] = row["stop"] or one["stops"][place]
        if place == 0:
            _add_states_before(starts, rows, texts)
    known = {start[1] for start in chosen}
    if assignments is not None and not known & assignments.keys():
        raise UsageError(
            f"the course has none of the assignments that were played ({sorted(known)[0]!r}, ...); "
            "give the course the runs are of"
        )
    return {
        "policies": [one.name for one in shown],
        "assignments": {
            name: _about(assignments[name])
            for name in sorted(known)
            if assignments is not None and name in assignments
        },
        "starts": list(starts.values()),
        "programs": list(texts.programs),
        "feedback": list(texts.feedback),
        "of": len(every),
    }


def _starts(table: pa.Table) -> list[_Start]:
    columns = [
        table.column(name).to_pylist() for name in ("student_id", "assignment_id", "position")
    ]
    return sorted(set(zip(*columns, strict=True)))


def _rows(table: pa.Table, trajectories: Collection[tuple[str, str]]) -> list[_Row]:
    """Return the records of some trajectories, by step; a run may be too large for all of it."""
    keys = zip(*(table.column(name).to_pylist() for name in _COLUMNS[:2]), strict=True)
    wanted = pa.array([key in trajectories for key in keys], pa.bool_())
    rows: list[_Row] = table.select(_COLUMNS).filter(wanted).to_pylist()
    return sorted(rows, key=lambda row: row["step"])


def _choose(starts: Sequence[_Start], wanted: int, seed: int) -> list[_Start]:
    positions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for student, assignment, position in starts:
        positions[student, assignment].append(position)
    trajectories = list(positions)
    order = np.random.default_rng([seed, 0]).permutation(len(trajectories))
    chosen: list[_Start] = []
    longest = max(map(len, positions.values()), default=0)
    for place in range(longest):
        for number in order:
            key = trajectories[number]
            if place < len(positions[key]):
                chosen.append((*key, positions[key][place]))
            if len(chosen) == wanted:
                return chosen
    return chosen


def _add_states_before(
    starts: Mapping[_Start, dict[str, Any]], rows: Sequence[_Row], texts: _Texts
) -> None:
    """Give each start the submission it starts from, where an earlier start aims at it."""
    logged = {
        (row["student_id"], row["assignment_id"], row["position"] + row["step"]): row
        for row in rows
    }
    for start, one in starts.items():
        if start in logged:
            one["before"] = texts.turn(logged[start], "logged_")


class _Texts:
    """Programs and feedback, each once."""

    def __init__(self) -> None:
        self.programs: dict[str, int] = {}
        self.feedback: dict[str, int] = {}

    def turn(self, row: _Row, side: str) -> list[Any] | None:
        """Return [program, grade, outcome, case bits, feedback] of one side of a record.

        side: "logged_", or "" for the policy's; None where it made no submission.
        """
        code = row["logged_code" if side else "generated_code"]
        if code is None:
            return None
        grade = Fraction(row[f"{side}grade_num"], row[f"{side}grade_den"])
        outcome, bits = row[f"{side}outcome"], row[f"{side}case_bits"] or ""
        if outcome not in get_args(Outcome):
            raise UsageError(f"outcome must be one of {get_args(Outcome)}, got {outcome!r}")
        # A failed test has the outcome of the program only for the mistake's message, which
        # the records do not hold.
        cases = tuple(CaseResult("", bit == "1", cast(Outcome, outcome)) for bit in bits)
        feedback = render_feedback(Verdict(grade, outcome, cases), "summary")
        cut = code if len(code) <= LONGEST else f"{code[:LONGEST]}\n[cut: {len(code):,} characters]"
        return [
            self.programs.setdefault(cut, len(self.programs)),
            grade_text(grade),
            outcome,
            bits,
            self.feedback.setdefault(feedback, len(self.feedback)),
        ]


def _about(assignment: Assignment) -> dict[str, Any]:
    return {
        "title": assignment.title,
        "prompt": assignment.prompt,
        "tests": [_test(case) for case in assignment.tests.cases],
    }


def _test(case: CallCase | IOCase) -> str:
    name = f"{case.name}: " if case.name else ""
    if isinstance(case, CallCase):
        return f"{name}{case.call} gives {case.expected!r}"
    return f"{name}input {case.stdin!r} gives output {case.stdout!r}"
