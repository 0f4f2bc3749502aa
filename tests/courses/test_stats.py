"""Table 1 of any course."""

from __future__ import annotations

import json
from pathlib import Path

from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.stats import StatsRow, course_stats
from novicegym.courses.suite import CallCase, TestSuite

SUITE = TestSuite(cases=(CallCase("f(1)", 1),))


def make_course(*logged: tuple[str, str, str | None, list[float | None]]) -> Course:
    return Course(
        "test",
        {key: Assignment(key, key, "", SUITE) for key in ("b", "a", "unused")},
        tuple(
            Trajectory(student, key, term, tuple(Submission("x", logged_grade=g) for g in grades))
            for student, key, term, grades in logged
        ),
        synthetic=True,
    )


COURSE = make_course(
    ("s1", "a", "Fall 2025", [0.0, 1.0]),
    ("s1", "b", "Fall 2025", [1.0, 0.999]),
    ("s2", "a", "Spring 2025", [0.5, 0.5, None]),
    ("s1", "a", "Spring 2025", [1.0]),
    ("s3", "a", None, [0.0]),
)


def test_the_whole_course() -> None:
    total = course_stats(COURSE).total
    assert total == StatsRow("total", 5, 3, 2, 2, 1, 2, 9)
    assert total.mean_length == 9 / 5


def test_success_is_a_full_last_grade_and_an_unknown_one_is_no_failure() -> None:
    rows = {row.label: row for row in course_stats(COURSE).terms}
    fall, spring = rows["Fall 2025"], rows["Spring 2025"]
    assert (fall.succeeded, fall.failed, fall.unknown) == (1, 1, 0)
    assert (spring.succeeded, spring.failed, spring.unknown) == (1, 0, 1)


def test_terms_stand_in_the_order_of_time_and_no_term_last() -> None:
    logged = [("s", "a", t, [1.0]) for t in ("t2", None, "Fall 2024", "Spring 2025", "Fall 2023")]
    labels = [row.label for row in course_stats(make_course(*logged)).terms]
    assert labels == ["Fall 2023", "Fall 2024", "Spring 2025", "t2", None]


def test_every_assignment_has_a_row_even_without_logs() -> None:
    rows = course_stats(COURSE).assignments
    assert [(r.label, r.trajectories, r.students) for r in rows] == [
        ("a", 4, 3),
        ("b", 1, 1),
        ("unused", 0, 0),
    ]
    assert rows[2].mean_length is None


def test_the_parts_add_up_to_the_total() -> None:
    stats = course_stats(COURSE)
    for rows in (stats.terms, stats.assignments):
        assert sum(row.submissions for row in rows) == stats.total.submissions
        assert sum(row.unknown for row in rows) == stats.total.unknown


def test_the_json_form_says_that_a_course_is_synthetic() -> None:
    data = json.loads(json.dumps(course_stats(COURSE).to_json()))
    assert data["synthetic"] is True
    assert data["total"]["mean_length"] == 1.8
    assert data["terms"][0]["label"] == "Spring 2025"


def test_an_empty_course_has_no_mean_length() -> None:
    stats = course_stats(make_course())
    assert stats.total.trajectories == 0
    assert stats.total.mean_length is None
    assert stats.terms == ()


def test_the_real_logs_have_their_known_size(shared: Path) -> None:
    folder = shared / "data" / "itap"
    course = load_course(f"progsnap2:{folder}", tests=folder / "assignments.json")
    total = course_stats(course).total
    assert (total.trajectories, total.submissions) == (633, 2030)
    assert (total.students, total.assignments) == (60, 33)
    assert 0.75 < total.succeeded / total.trajectories < 0.82
    assert total.unknown == 0
