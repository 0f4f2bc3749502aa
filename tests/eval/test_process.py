"""Process statistics: counted by hand on a small course, and what their edits measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.courses.load import load_course
from novicegym.courses.model import Course, Submission, Trajectory
from novicegym.eval.process import QUANTILES, compare_codes, process_stats
from novicegym.grading.grader import Grader

COMPILE = "def add(a, b)\n    return a + b\n"
HALF = "def add(a, b):\n    return a - b\n"  # right for (0, 0) only
CRASH = "def add(a, b):\n    return c\n"
RIGHT = "def add(a, b):\n    return a + b\n"


@pytest.fixture(scope="module")
def course(small_course: Course) -> Course:
    """Three trajectories on `add`; the second one is solved and goes on."""
    logs = {
        "ann": (COMPILE, COMPILE, HALF, RIGHT),
        "ben": (RIGHT, CRASH),
        "cem": (CRASH,),
    }
    trajectories = tuple(
        Trajectory(student, "add", None, tuple(Submission(code) for code in codes))
        for student, codes in logs.items()
    )
    return Course("counted", small_course.assignments, trajectories, synthetic=True)


def test_statistics_are_those_counted_by_hand(course: Course, grader: Grader) -> None:
    stats = process_stats(course, grader)
    row = stats.every
    assert (row.trajectories, row.submissions, row.mean_length) == (3, 7, 7 / 3)
    assert row.length_quantiles[QUANTILES.index(0.5)] == 2
    assert (row.solved, row.ends_correct, row.first_correct) == (2 / 3, 1 / 3, 1 / 3)
    assert row.outcomes == {
        "correct": 2 / 7,
        "logical": 1 / 7,
        "runtime": 2 / 7,
        "compile": 2 / 7,
    }
    assert row.first_outcomes == {"correct": 1 / 3, "runtime": 1 / 3, "compile": 1 / 3}
    assert row.transitions == {
        "correct": {"runtime": 1.0},
        "logical": {"correct": 1.0},
        "compile": {"logical": 0.5, "compile": 0.5},
    }
    assert row.grade_by_position == (1 / 3, 0.0, 0.25, 1.0)
    # The step from a correct submission is not a try.
    assert (row.raised, row.lowered) == (2 / 3, 0.0)
    assert row.unchanged == 1 / 4


def test_long_trajectories_are_told_apart(course: Course, grader: Grader) -> None:
    long = process_stats(course, grader).long
    assert (long.trajectories, long.submissions, long.solved) == (1, 4, 1.0)
    assert long.first_correct == 0.0


def test_a_course_without_trajectories_has_no_shares(small_course: Course, grader: Grader) -> None:
    stats = process_stats(Course("empty", small_course.assignments), grader)
    assert stats.every.mean_length is None
    assert stats.every.solved is None
    assert stats.lines()


def test_lines_and_json_say_that_a_course_is_synthetic(course: Course, grader: Grader) -> None:
    stats = process_stats(course, grader)
    assert "(synthetic)" in stats.lines()[0]
    assert json.loads(json.dumps(stats.to_json()))["synthetic"] is True
    [mean] = [line.split() for line in stats.lines() if line.startswith("mean length")]
    assert mean[-2:] == ["2.33", "4.00"]


def test_progress_counts_trajectories(course: Course, grader: Grader) -> None:
    seen: list[tuple[int, int]] = []
    process_stats(course, grader, lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]


@pytest.mark.parametrize(
    ("old", "new", "ratio", "edited"),
    [("", "", 1.0, 0), ("ab", "ab", 1.0, 0), ("abc", "axc", 4 / 6, 2), ("aa", "aaa", 0.8, 1)],
)
def test_edits_of_known_size(old: str, new: str, ratio: float, edited: int) -> None:
    assert compare_codes(old, new) == (pytest.approx(ratio), edited)


@given(st.text("ab\n", max_size=30), st.text("ab\n", max_size=30))
def test_edit_size_is_bounded_and_zero_only_for_equal_texts(old: str, new: str) -> None:
    ratio, edited = compare_codes(old, new)
    assert 0 <= ratio <= 1
    assert abs(len(old) - len(new)) <= edited <= len(old) + len(new)
    assert (edited == 0) == (old == new)


def test_real_logs_have_the_published_process(shared: Path, grader: Grader) -> None:
    itap = shared / "data" / "itap"
    course = load_course(f"progsnap2:{itap}", tests=itap / "assignments.json")
    row = process_stats(course, grader).every
    assert row.trajectories > 500
    # data/README.md: median similarity 95 %, 20.7 % do not compile, 80 % end correct
    assert row.similarity_quantiles[2] == pytest.approx(0.955, abs=0.02)
    assert row.outcomes["compile"] == pytest.approx(0.207, abs=0.02)
    assert row.ends_correct == pytest.approx(0.80, abs=0.03)
