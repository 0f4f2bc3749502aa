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
    # One that is not near, with other names, shown in a fence.
    far = CODES[2].replace("b", "z")
    message = f"So:\n```python\n# like this\n{far}```"
    near = known.for_student(bare, "nobody", CODES[0].replace("+", "*"))
    found = known.for_student(bare, "nobody", CODES[0].replace("+", "*"), shown_programs(message))
    assert (near, found) == ((CODES[0],), (CODES[0], CODES[2]))
    begun = CODES[0].replace("+", "*")
    assert leak(message, begun, near) < 1.0 == leak(message, begun, found)
    # Shown to who alone wrote it, it is not known.
    assert known.for_student(bare, "s2", begun, shown_programs(message)) == near


def test_which_are_near_does_not_depend_on_ones_own_log(
    course: Course, bare: Assignment, grader: Grader
) -> None:
    without = replace(course, trajectories=course.trajectories[:1] + course.trajectories[2:])
    code = "def add(a, b):\n    return 3\n"
    assert KnownPrograms(course, grader).for_student(bare, "s1", code) == KnownPrograms(
        without, grader
    ).for_student(bare, "s1", code)
