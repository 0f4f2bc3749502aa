"""Regrading a course."""

from __future__ import annotations

from novicegym.courses.model import Course
from novicegym.grading.grader import Grader
from novicegym.grading.regrade import regrade


def test_regrade_keeps_all_but_the_grades(small_course: Course, grader: Grader) -> None:
    regraded = regrade(small_course, grader)
    assert len(regraded.trajectories) == len(small_course.trajectories)
    grades = [[s.logged_grade for s in t.submissions] for t in regraded.trajectories]
    assert grades[0] == [0.0, 0.25, 0.25, 0.0, 1.0]
    for ours, theirs in zip(regraded.trajectories, small_course.trajectories, strict=True):
        assert ours.key == theirs.key
        assert [s.code for s in ours.submissions] == [s.code for s in theirs.submissions]


def test_regrade_by_index_slice_and_iteration_agree(small_course: Course, grader: Grader) -> None:
    counts: list[int] = []
    trajectories = regrade(small_course, grader, progress=counts.append).trajectories
    every = list(trajectories)
    assert counts[-1] == sum(len(t.submissions) for t in every)
    assert [trajectories[i] for i in range(len(trajectories))] == every
    assert list(trajectories[1:3]) == every[1:3]
