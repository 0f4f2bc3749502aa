from __future__ import annotations

import pytest

from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.suite import IOCase, TestSuite
from novicegym.dialogs.serialize import DialogFormat
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.training.logged import LoggedDialog, logged_dialogs
from novicegym.training.prefixes import draw_prefixes

HELLO = Assignment("hello", "Hello", "Print 7.", TestSuite(cases=(IOCase("", "7\n"),)))


def students(count: int, wrong: int, after: int = 0) -> Course:
    """Each submits `wrong` wrong programs, a correct one, and `after` more."""
    codes = [*(f"print({n + 8})" for n in range(wrong)), "print(7)", *["print(1)"] * after]
    return Course(
        "hello",
        {HELLO.id: HELLO},
        tuple(
            Trajectory(f"s{n}", HELLO.id, None, tuple(Submission(code) for code in codes))
            for n in range(count)
        ),
    )


@pytest.fixture(scope="module")
def course() -> Course:
    return students(count=12, wrong=9, after=3)


@pytest.fixture(scope="module")
def logged(course: Course, grader: Grader) -> list[LoggedDialog]:
    return logged_dialogs(course, grader, DialogFormat())


def test_two_positions_a_trajectory_each_with_a_submission_to_come(
    course: Course, logged: list[LoggedDialog]
) -> None:
    starts = draw_prefixes(course, logged, seed=3)
    assert [start.student_id for start in starts] == [f"s{n // 2}" for n in range(24)]
    for first, second in zip(starts[::2], starts[1::2], strict=True):
        assert 1 <= first.position < second.position <= 9
    assert len({start.position for start in starts}) > 5


def test_a_student_is_done_with_her_first_correct_submission(
    course: Course, logged: list[LoggedDialog]
) -> None:
    """What comes next may be correct; what comes after that is no counterpart."""
    starts = draw_prefixes(course, logged, positions=99)
    assert [start.position for start in starts] == [*range(1, 10)] * 12
    for start in starts:
        assert start.trajectory is not None
        assert start.trajectory.submissions[-1].code == "print(7)"


def test_the_draw_depends_on_the_seed_alone(course: Course, logged: list[LoggedDialog]) -> None:
    def positions(some: list[LoggedDialog], seed: int) -> dict[str, list[int]]:
        drawn: dict[str, list[int]] = {}
        for start in draw_prefixes(course, some, seed=seed):
            drawn.setdefault(start.student_id, []).append(start.position)
        return drawn

    everyone = positions(logged, seed=0)
    assert positions(logged[::-1], seed=0) == everyone
    assert positions(logged[4:5], seed=0) == {"s4": everyone["s4"]}
    assert positions(logged, seed=1) != everyone


def test_the_first_submission_can_be_asked_for(course: Course, logged: list[LoggedDialog]) -> None:
    starts = draw_prefixes(course, logged[:1], positions=99, min_position=0)
    assert [start.position for start in starts] == [*range(10)]


def test_short_trajectories_give_fewer_starts(grader: Grader) -> None:
    course = students(count=3, wrong=1)
    logged = logged_dialogs(course, grader, DialogFormat())
    assert [start.position for start in draw_prefixes(course, logged)] == [1, 1, 1]


def test_no_start_at_all_is_an_error(grader: Grader) -> None:
    course = students(count=3, wrong=0)
    logged = logged_dialogs(course, grader, DialogFormat())
    with pytest.raises(UsageError, match="none of 3 trajectories of course 'hello' is longer"):
        draw_prefixes(course, logged)
    with pytest.raises(UsageError, match="positions must be at least 1"):
        draw_prefixes(course, logged, positions=0)
