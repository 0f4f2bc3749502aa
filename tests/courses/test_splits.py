"""Splits: disjoint, complete, deterministic, and named by text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.splits import (
    sample_trajectories,
    split_assignments,
    split_students,
    take_assignments,
    take_split,
    take_term,
)
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.errors import UsageError

SUITE = TestSuite(cases=(CallCase("f(1)", 1),))


def make_course(students: int = 10, assignments: int = 4, *, backwards: bool = False) -> Course:
    names = [f"a{i}" for i in range(assignments)]
    found = [
        Trajectory(f"s{i}", a, "Fall 2024" if i % 2 else "Spring 2025", (Submission("x = 1"),))
        for i in range(students)
        for a in names
    ]
    ordered = found[::-1] if backwards else found
    return Course("test", {a: Assignment(a, a, "", SUITE) for a in names}, tuple(ordered))


def keys(course: Course) -> set[tuple[str, str]]:
    return {t.key for t in course.trajectories}


def students(course: Course) -> set[str]:
    return {t.student_id for t in course.trajectories}


@given(st.floats(0.1, 0.9), st.integers(0, 2**40))
def test_a_student_split_is_complete_and_shares_no_student(fraction: float, seed: int) -> None:
    course = make_course()
    first, rest = split_students(course, fraction, seed)
    assert keys(first) | keys(rest) == keys(course)
    assert not students(first) & students(rest)
    assert abs(len(students(first)) - 10 * fraction) <= 0.5


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_the_log() -> None:
    forwards = students(split_students(make_course(), 0.4, 3)[0])
    assert students(split_students(make_course(backwards=True), 0.4, 3)[0]) == forwards
    drawn = {frozenset(students(split_students(make_course(), 0.4, s)[0])) for s in range(20)}
    assert len(drawn) > 10


def test_split_values_do_not_move_between_versions() -> None:
    """Published splits are named by their seed, so the draw is part of the interface."""
    assert students(take_split(make_course(), "students:0.3")) == {"s2", "s4", "s6"}


def test_unseen_assignments_leave_both_the_mapping_and_the_trajectories() -> None:
    course = make_course()
    unseen, seen = take_assignments(course, ["a1", "a3"])
    assert set(unseen.assignments) == {"a1", "a3"}
    assert set(seen.assignments) == {"a0", "a2"}
    assert keys(unseen) | keys(seen) == keys(course)
    assert {t.assignment_id for t in seen.trajectories} == {"a0", "a2"}


def test_an_assignment_split_by_fraction_is_seeded() -> None:
    first, rest = split_assignments(make_course(assignments=8), 0.25, 1)
    again, _ = split_assignments(make_course(assignments=8, backwards=True), 0.25, 1)
    assert len(first.assignments) == 2
    assert len(rest.assignments) == 6
    assert set(first.assignments) == set(again.assignments)


def test_unseen_students_on_unseen_assignments_is_a_split_of_a_split() -> None:
    course = make_course()
    part = take_split(take_split(course, "assignments:a0,a1:rest"), "students:0.2:seed=4:first")
    assert {t.assignment_id for t in part.trajectories} == {"a2", "a3"}
    assert len(students(part)) == 2


def test_a_term_is_taken_whole() -> None:
    assert students(take_term(make_course(4), "Fall 2024")) == {"s1", "s3"}
    assert students(take_split(make_course(4), "term:Spring 2025")) == {"s0", "s2"}


def test_an_unknown_term_names_the_terms_there_are() -> None:
    with pytest.raises(UsageError, match="Did you mean 'Fall 2024'"):
        take_split(make_course(), "term:Fall 2025")


def test_a_sample_keeps_the_courses_order() -> None:
    course = make_course()
    sample = sample_trajectories(course, 7, seed=2)
    assert len(sample.trajectories) == 7
    assert list(sample.trajectories) == [t for t in course.trajectories if t.key in keys(sample)]
    assert keys(sample) == keys(take_split(make_course(backwards=True), "trajectories:7:seed=2"))
    assert keys(sample_trajectories(course, 1000)) == keys(course)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("students:0.2", "students:0.2:seed=0:first"),
        ("students:0.2:rest:seed=0", "students:0.2:seed=0:rest"),
        ("assignments:0.5", "assignments:0.5:first"),
        ("trajectories:5", "trajectories:5:seed=0"),
    ],
)
def test_selectors_have_defaults(text: str, same: str) -> None:
    assert keys(take_split(make_course(), text)) == keys(take_split(make_course(), same))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("student:0.2", "Did you mean 'students'"),
        ("students", "write it as students:FRACTION"),
        ("students:many", "write it as students:FRACTION"),
        ("students:1.5", "between 0 and 1, got 1.5"),
        ("students:nan", "between 0 and 1"),
        ("students:0.01", "leaves one part empty"),
        ("students:0.2:second", "write it as"),
        ("students:0.2:seed=1:seed=2", "write it as"),
        ("students:0.2:first:rest", "write it as"),
        ("assignments:a9", "unknown assignment 'a9'"),
        ("assignments:a1:seed=3", "takes no seed"),
        ("trajectories:0", "at least 1"),
        ("trajectories:0.5", "write it as trajectories:COUNT"),
        ("trajectories:5:rest", "write it as trajectories:COUNT"),
    ],
)
def test_a_wrong_selector_is_an_error_that_shows_the_right_form(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        take_split(make_course(), text)
