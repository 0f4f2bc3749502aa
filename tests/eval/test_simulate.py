"""The simulated students: what is shipped is what the simulation gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from novicegym.courses.load import load_course
from novicegym.courses.model import Course
from novicegym.courses.store import ASSIGNMENTS_FILE, COURSE_FILE, SUBMISSIONS_FILE
from novicegym.errors import UsageError
from novicegym.eval.simulate import MOST_SUBMISSIONS, TERMS, simulate_course
from novicegym.grading.grader import Grader

SHIPPED_FILES = (COURSE_FILE, ASSIGNMENTS_FILE, SUBMISSIONS_FILE)


@pytest.fixture(scope="module")
def shipped() -> Course:
    return load_course("cs1")


def test_students_made_again_are_those_shipped(shipped: Course, grader: Grader) -> None:
    again = simulate_course(0, students=[3, 141], grader=grader)
    students = {"sim-f24-004", "sim-s25-002"}
    assert list(again.trajectories) == [
        trajectory for trajectory in shipped.trajectories if trajectory.student_id in students
    ]


def test_a_student_does_not_depend_on_the_others(grader: Grader) -> None:
    alone = simulate_course(1, students=[7], grader=grader)
    among = simulate_course(1, students=[6, 7], grader=grader)
    assert list(alone.trajectories) == [
        trajectory for trajectory in among.trajectories if trajectory.student_id == "sim-f24-008"
    ]


def test_another_seed_gives_other_students(shipped: Course, grader: Grader) -> None:
    other = simulate_course(1, students=[3], grader=grader)
    same = [t for t in shipped.trajectories if t.student_id == "sim-f24-004"]
    assert list(other.trajectories) != same


def test_simulation_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "import hashlib\n"
        "from novicegym.eval.simulate import simulate_course\n"
        "course = simulate_course(0, students=[11])\n"
        "print(hashlib.sha256(repr(list(course.trajectories)).encode()).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_an_index_beyond_the_terms_is_refused() -> None:
    with pytest.raises(UsageError, match="student index must be 0 to 279, got 280"):
        simulate_course(0, students=[280])


def test_progress_ends_with_all_trajectories(grader: Grader) -> None:
    seen: list[tuple[int, int]] = []
    course = simulate_course(
        0, students=[3], grader=grader, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (len(course.trajectories),) * 2
    assert seen == sorted(seen)


def test_shipped_logs_are_what_the_course_promises(shipped: Course) -> None:
    trajectories = list(shipped.trajectories)
    assert shipped.synthetic
    assert len(shipped.assignments) >= 16
    students = {t.student_id for t in trajectories}
    assert len(students) == sum(term.students for term in TERMS) >= 240
    assert all(re.fullmatch(r"sim-(f24|s25)-\d{3}", student) for student in students)
    assert {t.term for t in trajectories} == {term.name for term in TERMS}
    assert {t.assignment_id for t in trajectories} == set(shipped.assignments)
    lengths = [len(t.submissions) for t in trajectories]
    assert 8.5 <= sum(lengths) / len(lengths) <= 9.5
    assert max(lengths) <= MOST_SUBMISSIONS
    unsolved = sum(t.submissions[-1].logged_grade != 1 for t in trajectories)
    assert 0.05 < unsolved / len(trajectories) < 0.4
    # Only the last submission can be correct: the environment ends there.
    assert not any(s.logged_grade == 1 for t in trajectories for s in t.submissions[:-1])


def test_shipped_times_go_forward_within_the_term(shipped: Course) -> None:
    begins = {term.name: term.begins for term in TERMS}
    for trajectory in shipped.trajectories:
        times = [s.at for s in trajectory.submissions if s.at is not None]
        assert len(times) == len(trajectory.submissions)
        assert times == sorted(times)
        assert all(time.microsecond == 0 for time in times)
        assert 0 <= (times[0] - begins[trajectory.term or ""]).days < 120


def test_shipped_logs_hold_every_common_kind_of_failure(shipped: Course) -> None:
    said = Counter(
        (s.logged_feedback or "").split("\n")[2]
        for t in shipped.trajectories
        for s in t.submissions
    )
    total = said.total()
    assert said["Your program is not valid Python."] > total / 10
    assert said["Your program stops with an error."] > total / 10
    assert said["Your program runs, but gives a wrong answer."] > total / 10
    assert said["Your program takes too long. It may be in a loop that does not end."] > 0


def test_shipped_files_are_small() -> None:
    folder = files("novicegym.courses.cs1")
    assert sum(len((folder / name).read_bytes()) for name in SHIPPED_FILES) < 2_500_000


@pytest.mark.slow
def test_the_whole_course_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    made = tmp_path / "cs1"
    command = [sys.executable, "-m", "novicegym", "course", "make", "cs1", "--seed", "0"]
    subprocess.run([*command, "--out", str(made)], check=True)
    folder = files("novicegym.courses.cs1")
    for name in SHIPPED_FILES:
        same = (made / name).read_bytes() == folder.joinpath(name).read_bytes()
        assert same, name
