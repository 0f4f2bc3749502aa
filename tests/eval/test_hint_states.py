"""States in which a student could be helped: of logs and of episode records, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest

from novicegym.courses.model import Course
from novicegym.courses.readers.hint_requests import HintRequest
from novicegym.errors import UsageError
from novicegym.eval.hint_states import (
    HintState,
    graded_logs,
    logged_states,
    simulated_states,
)
from novicegym.eval.records import TUTORED_RECORDS
from novicegym.grading.grader import Grader


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TUTORED_RECORDS)


def row(
    position: int,
    step: int,
    made: int | None,
    *,
    stop: str | None = None,
    message: str | None = None,
    logged: int | None = 0,
    student: str = "ann",
) -> dict[str, Any]:
    """A step with grades in quarters; `made` and `logged` None where there is no submission."""
    return {
        "student_id": student,
        "assignment_id": "add",
        "position": position,
        "step": step,
        "logged_code": None if logged is None else f"logged {position + step}",
        "logged_grade_num": logged,
        "logged_grade_den": None if logged is None else 4,
        "logged_outcome": None if logged is None else "logical",
        "generated_code": None if made is None else f"made {position} {step}",
        "grade_num": made,
        "grade_den": None if made is None else 4,
        "outcome": None if made is None else "correct" if made == 4 else "logical",
        "stop": stop,
        "message": message,
    }


def facts(states: Sequence[HintState]) -> list[tuple[Any, ...]]:
    """Number, grades known, grades to come, all in quarters; ended, helped, helped before."""
    return [
        (
            state.number,
            [int(4 * one.grade) for one in state.past],
            [int(4 * one.grade) for one in state.following],
            state.ended,
            state.helped,
            state.helped_before,
        )
        for state in states
    ]


def test_logged_states_and_what_became_of_the_requests(
    small_course: Course, grader: Grader
) -> None:
    code = small_course.trajectories[0].submissions[1].code
    requests = [
        HintRequest("ann", "add", 0, ""),
        HintRequest("ann", "add", 2, code),
        HintRequest("ann", "add", 2, "edited"),
        HintRequest("ann", "add", 5, "solved by then"),
        HintRequest("ben", "add", 1, "edited"),
        HintRequest("eva", "add", 0, "never submitted"),
    ]
    log = logged_states(small_course, requests, grader)
    assert (log.requests, log.before_first, log.after_correct, log.in_states) == (6, 2, 1, 3)
    assert log.same_code == 1
    ann = [one for one in log.states if (one.student_id, one.assignment_id) == ("ann", "add")]
    assert facts(ann) == [
        (1, [0], [1, 1, 0, 4], True, False, False),
        (2, [0, 1], [1, 0, 4], True, True, False),
        (3, [0, 1, 1], [0, 4], True, False, True),
        (4, [0, 1, 1, 0], [4], True, False, True),
    ]
    assert ann[0].now.outcome == "compile"
    double = [one for one in log.states if one.assignment_id == "double"]
    assert [(one.student_id, len(one.following)) for one in double] == [("ann", 1), ("ann", 0)]
    assert len(log.states) == 4 + 2 + 2


def test_requests_of_another_log_or_of_a_curated_course_are_refused(
    small_course: Course, grader: Grader
) -> None:
    with pytest.raises(UsageError, match="before curation"):
        logged_states(small_course, [HintRequest("ann", "add", 6, "")], grader)
    with pytest.raises(UsageError, match="of one log"):
        logged_states(small_course, [HintRequest("eva", "add", 1, "")], grader)


def test_simulated_states_by_hand() -> None:
    records = table(
        # From the third: solved at the second step, after a message.
        row(3, 1, 1, logged=2, message=" \n"),
        row(3, 2, 4, stop="correct", message="look", logged=3),
        # From the fourth, whose submission the first row's log tells: cut at the horizon.
        row(4, 1, 2, message="look", logged=3),
        row(4, 2, 3, stop="horizon", logged=1),
        # From the fifth: gives up at once.
        row(5, 1, None, stop="exit", message="look", logged=1),
        row(5, 2, None, logged=1),
    )
    assert facts(simulated_states([records])) == [
        # The third submission is in no record, so the first step has no state.
        (4, [1], [4], True, True, False),
        (4, [2], [2, 3], False, True, False),
        (5, [2, 2], [3], False, False, True),
        (5, [2, 3], [], True, True, False),
    ]


def test_logs_tell_what_a_single_start_is_from(small_course: Course, grader: Grader) -> None:
    logs = graded_logs(small_course, grader)
    assert [int(4 * one.grade) for one in logs["ann", "add"]] == [0, 1, 1, 0, 4]
    records = table(row(3, 1, 2, message="look", stop="horizon"))
    assert simulated_states([records]) == ()
    assert facts(simulated_states([records], logs)) == [(3, [0, 1, 1], [2], False, True, False)]


def test_a_run_without_a_tutor_helps_nobody() -> None:
    plain = table(row(3, 1, 1, message="look"), row(3, 2, 2)).drop_columns(["message"])
    assert facts(simulated_states([plain])) == [(4, [1], [2], False, False, False)]


def test_how_many_submissions_could_follow_is_the_same_for_who_solves() -> None:
    def of(protocol: str, *rows: dict[str, Any]) -> list[int | None]:
        records = table(*({**one, "protocol": protocol} for one in rows))
        return [one.could_follow for one in simulated_states([records])]

    start = row(2, 1, 1, stop="horizon", logged=1)
    solved = (row(3, 1, 1), row(3, 2, 4, stop="correct"), row(3, 3, None), row(3, 4, None))
    assert of("trial", start, *solved)[-2:] == [10, 9]
    # The log ends after the fourth step.
    assert of("paper", start, *solved)[-2:] == [4, 3]
    assert of("mine", start, *solved)[-2:] == [None, None]


def test_free_play_and_several_runs() -> None:
    free = table(row(0, 1, 0, logged=None), row(0, 2, 1, logged=None, message="look"))
    found = simulated_states([free, free])
    assert facts(found) == [(1, [0], [1], False, True, False)] * 2
    assert found[0].now.grade == Fraction(0)


def test_records_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(UsageError, match="no column stop"):
        simulated_states([table(row(3, 1, 1)).drop_columns(["stop"])])
    with pytest.raises(UsageError, match=r"step 1 of student 'ann'.*twice"):
        simulated_states([table(row(3, 1, 1), row(3, 1, 1))])
