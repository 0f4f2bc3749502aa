"""Which correct programs are known for a student."""

from __future__ import annotations

from dataclasses import replace

import pytest

from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.grading import known_programs
from novicegym.grading.grader import Grader
from novicegym.grading.known_programs import KnownPrograms
from novicegym.rewards.leak import leak
from novicegym.rewards.said_code import shown_programs

CODES = (
    "def add(a, b):\n    total = a + b\n    return total\n",
    "def add(a, b):\n    return sum([a, b])\n",
    "def add(a, b):\n    return -(-a - b)\n",
    "def add(a, b):\n    for one in (b,):\n        a += one\n    return a\n",
)


@pytest.fixture
def bare(small_course: Course) -> Assignment:
    return replace(small_course.assignment("add"), solutions=())


@pytest.fixture
def course(bare: Assignment) -> Course:
    logs = [
        Trajectory(f"s{number}", "add", None, (Submission("def add(a, b): pass"), Submission(code)))
        for number, code in enumerate(CODES)
    ]
    return Course("peers", {"add": bare}, tuple(logs))


def test_all_where_few_and_never_ones_own(course: Course, bare: Assignment, grader: Grader) -> None:
    known = KnownPrograms(course, grader)
    assert set(known.for_student(bare, "nobody", "")) == set(CODES)
    assert set(known.for_student(bare, "s1", "")) == set(CODES) - {CODES[1]}
    given = replace(bare, solutions=("given",))
    assert known.for_student(given, "nobody", "")[0] == "given"


def test_the_nearest_to_the_program_and_what_is_shown(
    course: Course, bare: Assignment, grader: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_programs, "MOST_PROGRAMS", 1)
    known = KnownPrograms(course, grader)
    for code in CODES:
        wrong = code.replace("b)", "b, c=0)")
        assert known.for_student(bare, "nobody", wrong) == (code,)
    near = known.for_student(bare, "nobody", CODES[0].replace("+", "*"))
    assert near == (CODES[0],)


def test_a_correct_program_that_is_shown_is_known_whoever_wrote_it(
    bare: Assignment, grader: Grader
) -> None:
    """Nobody has logged one: what it is like, and what a log says of it, makes no difference."""
    begun = "def add(a, b):\n    return 0\n"
    new = "def add(p, q):\n    for step in range(abs(q)):\n        p += q // abs(q)\n    return p"
    for logged_grade in (None, 0.9, 1.0):
        logs = tuple(
            Trajectory(name, "add", None, (Submission(begun), Submission(code, None, logged_grade)))
            for name, code in (("ann", new), ("ben", CODES[2]))
        )
        known = KnownPrograms(Course("two", {"add": bare}, logs), grader)
        for program in (new, CODES[0], CODES[2]):
            message = f"So:\n```python\n# like this\n{program}\n```"
            found = known.for_student(bare, "ann", begun, shown_programs(message))
            assert leak(message, begun, found) == 1.0
        wrong = "So:\n```python\ndef add(a, b):\n    while b:\n        pass\n```"
        found = known.for_student(bare, "ann", begun, shown_programs(wrong))
        assert found == known.for_student(bare, "ann", begun)
        assert leak(wrong, begun, found) < 0.5


def test_which_are_near_does_not_depend_on_ones_own_log(
    course: Course, bare: Assignment, grader: Grader
) -> None:
    without = replace(course, trajectories=course.trajectories[:1] + course.trajectories[2:])
    code = "def add(a, b):\n    return 3\n"
    assert KnownPrograms(course, grader).for_student(bare, "s1", code) == KnownPrograms(
        without, grader
    ).for_student(bare, "s1", code)
