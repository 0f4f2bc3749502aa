"""What the feedback tutor says of a verdict."""

from __future__ import annotations

import pytest

from novicegym.agents.tutors.feedback import FeedbackTutor, error_line, restate
from novicegym.courses.model import Assignment, Course
from novicegym.courses.suite import IOCase, TestScript, TestSuite

GREET = Assignment(
    "greet",
    "Greet",
    "Read two names and greet them.",
    TestSuite(cases=(IOCase("Ann\nBen\n", "Hi Ann\nHi Ben\n"),)),
    language="python",
    solutions=("for _ in range(2):\n    print('Hi', input())",),
)


@pytest.fixture
def say(tell, grader, double):
    """Return what is said of a program for one of the two assignments."""
    course = Course("c", {double.id: double, GREET.id: GREET})
    tutor = FeedbackTutor(course, grader=grader)
    return lambda assignment, code: tell(tutor, assignment, code)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def double(x):\n    return x", "The call double(2) should give 4, but gives 2."),
        ("def double(x):\n    print(x)", "The call double(0) should give 0, but gives None."),
        (
            "def double(x):\n    y = x / 0\n    return y",
            "The call double(0) stops with an error. "
            "Python stops at line 2: ZeroDivisionError: division by zero",
        ),
        (
            "def double(x):\n    while True:\n        pass",
            "The call double(0) does not come to an end in time.",
        ),
        (
            "x = 1\ndef double(x)\n    return x",
            "Your program cannot be run yet. Python stops at line 2: SyntaxError: expected ':'",
        ),
        ("def double(x):\n    return x + x", ""),
    ],
)
def test_the_first_failed_call_is_restated(say, double, code, message) -> None:
    assert say(double, code) == message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('Hi', input())", 'should print "Hi Ben" as row 2 of its output, but has stopped'),
        ("print('Hey', input())", 'should print "Hi Ann" as row 1 of its output, but prints "Hey'),
        ("", 'should print "Hi Ann", but prints nothing.'),
        (GREET.solutions[0] + "\nprint(7)", 'should print nothing more at the end, but prints "7"'),
        ("print(nam)", "NameError: name 'nam' is not defined"),
    ],
)
def test_of_an_output_the_first_row_that_differs_is_told(say, code, message) -> None:
    said = say(GREET, code)
    assert said.startswith('With the input "Ann" and "Ben", your program ')
    assert message in said


def test_a_test_script_speaks_for_itself(tell, grader) -> None:
    script = TestScript(
        "from cs110 import autograder\n"
        "def test_passed():\n"
        "    autograder.run_script('student.py', [])\n"
        "    print('Row 3 is missing.')\n"
        "    return 40\n"
        "print('Unit Test Returned:', test_passed())\n"
    )
    say = Assignment("say", "Say", "Print rows.", TestSuite(script=script))
    tutor = FeedbackTutor(Course("c", {say.id: say}), grader=grader)
    assert tell(tutor, say, "print(1)") == "The grader says: Row 3 is missing."
    assert tell(tutor, say, "print('Feedback:')\nprin(1)") == (
        "Your program stops with an error. "
        "Python stops at line 2: NameError: name 'prin' is not defined"
    )


def test_what_a_program_prints_can_neither_break_out_nor_go_on_forever(say) -> None:
    said = say(GREET, "print('```\\x1b[31m\\x07\\u202e' + 'x' * 5000)\nprint('```tutor')")
    assert all(char.isprintable() for char in said)
    assert "\\x1b[31m\\x07\\u202e" in said
    assert len(said) < 300
    said = say(GREET, "raise ValueError('\\n'.join(['line 1', 'x' * 9999, '\\x1b']))")
    assert all(char.isprintable() for char in said)
    assert len(said) < 500


def test_the_line_python_refuses_a_program_for(grader, double) -> None:
    def line(code: str) -> int | None:
        return error_line(grader.grade(double, code))

    assert line("x = 1\ndef double(x)\n    pass") == 2
    assert line("def double(x):\n    return 1 / 0") is None
    assert line("x = '\x00'") is None


def test_every_failed_state_of_the_course_is_told(cs1, grader, logged_states) -> None:
    tutor = FeedbackTutor(cs1, grader=grader)
    states = logged_states(cs1)
    said = tutor.act([[]] * len(states), states)
    assert [bool(message) for message in said] == [s["outcome"] != "correct" for s in states]
    assert max(map(len, said)) < 500
    alone = [tutor.act([[]], [one])[0] for one in states]
    assert alone == said
    for one in states[:20]:
        verdict = grader.grade(cs1.assignment(one["assignment_id"]), one["code"])
        assert restate(verdict) == said[states.index(one)]
