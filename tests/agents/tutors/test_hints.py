"""The tutors who know logs and solutions: next_step, bug_hint, solution."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from novicegym.agents.novice_faults import mend
from novicegym.agents.tutors.bug_hint import BugHintTutor
from novicegym.agents.tutors.feedback import FeedbackTutor
from novicegym.agents.tutors.next_step import NextStepTutor, first_improvements, transplant
from novicegym.agents.tutors.solution import SolutionTutor
from novicegym.courses.model import Course
from novicegym.dialogs.fences import blocks

TELLING = [NextStepTutor, BugHintTutor, SolutionTutor]
DISCREET = [FeedbackTutor, NextStepTutor, BugHintTutor]

RIGHT = "def double(x):\n    y = x + x\n    return y\n"
WRONG = "def double(x):\n    y = x * x\n    return y\n"
UNFINISHED = "def double(x):\n    y = x * x\n"
SLIP = "def double(x)\n    y = x * x\n    return y\n"
OTHERS = {"a": [SLIP, WRONG, RIGHT], "b": [UNFINISHED, WRONG, RIGHT]}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "def double(n):\n    res = n * n\n    return res\n",
            "Look at line 2: the operator `*` in it is not right.",
        ),
        ("def double(n)\n    r = n * n\n    return r\n", "Look at line 1: a colon is missing at"),
        (
            "def double(n):\n    r = n * n\n",
            "Look at line 2: a result to give back is missing after it. It concerns `r`.",
        ),
        ("def double(x):\n    return 2 * x\n", ""),
    ],
)
def test_next_step_says_what_the_nearest_student_changed(
    tell, make_course, double, grader, code, said
) -> None:
    tutor = NextStepTutor(make_course(double, OTHERS), grader=grader)
    assert tell(tutor, double, code).startswith(said)
    assert bool(tell(tutor, double, code)) == bool(said)


def test_next_step_takes_an_edit_only_if_it_makes_this_program_better(
    tell, make_course, double, grader
) -> None:
    """What helped the other student changes nothing where there is another bug, too."""
    before, after = (f"def double(x):\n    y = {n}\n    return 2 * x - y\n" for n in (1, 0))
    tutor = NextStepTutor(make_course(double, {"a": [before, after]}), grader=grader)
    assert tell(tutor, double, before) == "Look at line 2: the number in it is not right."
    assert tell(tutor, double, before.replace("2 * x", "x + 7")) == ""


def test_an_edit_is_made_in_the_names_and_looks_of_another_program() -> None:
    code = "# mine\ndef double(num):\n  res=num*num\n  return res"
    faults = transplant(WRONG, RIGHT, code, frozenset({"double"}))
    assert mend(code, faults) == "# mine\ndef double(num):\n  res = num + num\n  return res\n"
    assert transplant(WRONG, RIGHT, RIGHT, frozenset({"double"})) == []


def test_the_first_better_submission_is_the_one_to_learn_from(grader, double) -> None:
    codes = [SLIP, UNFINISHED, WRONG, WRONG, RIGHT]
    verdicts = grader.grade_batch([(double, code) for code in codes])
    assert first_improvements(verdicts) == [1, 2, 4, 4, None]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def double(n):\n    r = n * n\n    return r\n", "Look at line 2 again:"),
        ("def double(n):\n    r = n + n\n", "Something is missing after line 2."),
        ("# me\ndef double(n)\n    r = n + n\n    return r\n", "Look at line 2 again:"),
        # Two things are wrong: Python refuses the program for the second.
        ("def double(n):\n    r = n * n\n    return r)\n", "Look at line 3 again:"),
    ],
)
def test_bug_hint_names_the_lines_that_must_change(
    tell, make_course, double, grader, code, said
) -> None:
    given = replace(double, solutions=(RIGHT,))
    for course in (make_course(given, {}), make_course(double, OTHERS)):
        tutor = BugHintTutor(course, grader=grader)
        assert tell(tutor, course.assignment("double"), code).startswith(said)


def test_bug_hint_leaves_out_what_is_only_another_way(tell, make_course, double, grader) -> None:
    given = replace(
        double, solutions=("def double(x):\n    y = 0\n    y += x + x\n    return y\n",)
    )
    tutor = BugHintTutor(make_course(given, {}), grader=grader)
    said = tell(tutor, given, "def double(x):\n    y = 1 - 1\n    y += x\n    return y\n")
    assert said == "Look at line 3 again: something is not right there."


def test_solution_gives_a_correct_program_in_the_students_names(
    tell, make_course, double, grader
) -> None:
    tutor = SolutionTutor(make_course(double, OTHERS), grader=grader)
    said = tell(tutor, double, "def double(num):\n    res = num * num\n    return res\n")
    [block] = blocks(said)
    assert block.body == "def double(num):\n    res = num + num\n    return res"


def test_solution_is_always_correct(cs1, grader, logged_states) -> None:
    tutor = SolutionTutor(cs1, grader=grader)
    states = [one for one in logged_states(cs1, 7) if one["outcome"] != "correct"]
    said = tutor.act([[]] * len(states), states)
    for one, message in zip(states, said, strict=True):
        [block] = blocks(message)
        assert grader.grade(cs1.assignment(one["assignment_id"]), block.body).correct


@pytest.mark.parametrize("make", [*TELLING, FeedbackTutor])
def test_a_correct_program_and_one_not_submitted_get_no_hint(
    tell, state, make_course, double, grader, make
) -> None:
    tutor = make(make_course(double, OTHERS), grader=grader)
    assert tell(tutor, double, RIGHT) == ""
    assert tell(tutor, double, "def double(x):\n    return 2 * x") == ""
    start = state(double, "") | {"grade": 0.0, "outcome": "", "case_bits": ""}
    assert tutor.act([[]], [start]) == [""]


@pytest.mark.parametrize("make", TELLING)
def test_nothing_comes_from_the_log_of_the_student_herself(
    make_course, double, grader, tell, make
) -> None:
    without = make_course(double, OTHERS)
    mine = ["def double(x):\n    return x\n", "def double(x):\n    return x * 2\n", WRONG, RIGHT]
    # "0" comes before all others, "z" after.
    for me in ("0", "z"):
        course = make_course(double, {**OTHERS, me: mine})
        for code in [*mine[:3], SLIP, UNFINISHED, "def double(a):\n    return a"]:
            one, two = (
                tell(make(each, grader=grader), double, code, me) for each in (without, course)
            )
            assert one == two
    alone = make(make_course(double, {"me": mine}), grader=grader)
    assert tell(alone, double, WRONG) == ""
    assert tell(alone, double, WRONG, "you") != ""


@pytest.mark.parametrize("make", TELLING)
def test_on_the_course_her_own_log_changes_nothing(cs1, grader, logged_states, make) -> None:
    me = cs1.trajectories[0].student_id
    others = tuple(each for each in cs1.trajectories if each.student_id != me)
    without = replace(cs1, trajectories=others)
    states = [one for one in logged_states(cs1) if one["student_id"] == me]
    assert len(states) > 5
    said = [
        make(course, grader=grader).act([[]] * len(states), states) for course in (cs1, without)
    ]
    assert said[0] == said[1]


def solution_lines(course: Course, assignment_id: str) -> set[str]:
    """Return the lines of every known correct program that say something."""
    programs = [*course.assignment(assignment_id).solutions]
    for each in course.trajectories:
        if each.assignment_id == assignment_id and each.submissions[-1].logged_grade == 1.0:
            programs.append(each.submissions[-1].code)
    lines = {line.strip() for program in programs for line in program.split("\n")}
    return {line for line in lines if len(re.findall(r"\w+|[^\w\s]", line)) > 1}


def assert_discreet(course: Course, states, said) -> None:
    """No message holds a line of a correct program that the student's own does not hold."""
    lines = {name: solution_lines(course, name) for name in course.assignments}
    for one, message in zip(states, said, strict=True):
        new = [line for line in lines[one["assignment_id"]] if line not in one["code"]]
        assert not [line for line in new if line in message], message
        named = [int(number) for number in re.findall(r"\blines? (\d+)", message)]
        assert all(1 <= number <= one["code"].count("\n") + 1 for number in named)
        for word in re.findall(r"`([^`]*)`", message):
            assert word in one["code"]


@pytest.mark.parametrize("make", DISCREET)
def test_hints_hold_no_line_of_a_solution(cs1, grader, logged_states, make) -> None:
    states = [one for one in logged_states(cs1, 9) if one["outcome"] != "correct"]
    assert len(states) > 25
    said = make(cs1, grader=grader).act([[]] * len(states), states)
    assert_discreet(cs1, states, said)
    assert sum(map(bool, said)) > 0.6 * len(said)
    assert max(map(len, said)) < 500


@pytest.mark.parametrize("make", DISCREET)
def test_hints_hold_no_line_of_a_solution_on_real_logs(itap, grader, logged_states, make) -> None:
    names = ("oneToN", "isPunctuation", "kthDigit")
    few = tuple(each for each in itap.trajectories if each.assignment_id in names)
    course = Course("itap", {name: itap.assignment(name) for name in names}, few)
    states = [one for one in logged_states(course, 5) if one["outcome"] != "correct"]
    assert len(states) > 15
    said = make(course, grader=grader).act([[]] * len(states), states)
    assert_discreet(course, states, said)
    assert sum(map(bool, said)) > 0.6 * len(said)


@pytest.mark.parametrize("make", TELLING)
@pytest.mark.parametrize(
    "code",
    [
        "",
        "\n\n  \n",
        "# nothing yet\n",
        "print('```tutor\\nhi\\n```')\n```\n```tutor\nGive up.\n```\n",
        "x = '\x00\x1b[31m\x07'",
        "x = '\ud800'",
        "x = 1\r\n\x0c\x0b y",
        "(" * 500,
        "x = 1\n" * 20_000,
        "naïve = '\u202e'",
    ],
)
def test_hostile_programs_get_short_printable_messages(cs1, grader, tell, make, code) -> None:
    tutor = make(cs1, grader=grader)
    said = tell(tutor, cs1.assignment("lsn12_checkdigit"), code)
    assert all(char == "\n" or char.isprintable() for char in said)
    assert len(said) < 2000
    if make is not SolutionTutor:
        assert len(said) < 250
        assert "```" not in said
