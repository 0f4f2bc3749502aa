"""The nearest other student's next step."""

from __future__ import annotations

import itertools

from novicegym.agents.retrieval import RetrievalAgent
from novicegym.courses.model import Assignment
from novicegym.courses.suite import TestScript, TestSuite

WRONG = "def double(x):\n    return x"
ALSO_WRONG = "def double(number):\n    return number"
WRONG_ELSEWHERE = "def double(x):\n    return 4"
RIGHT = "def double(x):\n    return 2 * x"
SLIP = "def double(x)\n    return x"


def code(n: int) -> str:
    return f"def double(x):\n    y = {n}\n    return y"


def test_it_does_what_the_nearest_other_student_did_next(
    submit, make_course, double, grader
) -> None:
    course = make_course(
        double, {"a": [WRONG_ELSEWHERE, code(1)], "b": [ALSO_WRONG, code(2)], "c": [SLIP, code(3)]}
    )
    agent = RetrievalAgent(course, grader=grader)
    assert submit(agent, double, WRONG) == code(2)
    assert submit(agent, double, "def double(y):\n    return 4") == code(1)
    assert submit(agent, double, "def double(x)\n    return y") == code(3)


def test_the_student_in_the_seat_is_never_her_own_neighbour(
    submit, make_course, double, grader
) -> None:
    course = make_course(double, {"me": [WRONG, RIGHT], "you": [SLIP, code(1)]})
    agent = RetrievalAgent(course, grader=grader)
    assert submit(agent, double, WRONG, student="me") == code(1)
    assert submit(agent, double, WRONG, student="other") == RIGHT


def test_her_own_log_changes_nothing(submit, make_course, double, grader) -> None:
    logs = {"a": [WRONG, code(1), code(2)], "z": [ALSO_WRONG, SLIP, RIGHT]}
    with_me = {"a": logs["a"], "me": [WRONG, RIGHT, WRONG, code(7)], "z": logs["z"]}
    states = [WRONG, SLIP, code(1), code(9), RIGHT, ""]
    one, two = (
        RetrievalAgent(make_course(double, each), grader=grader) for each in (logs, with_me)
    )
    for state in states:
        assert submit(one, double, state) == submit(two, double, state)


def test_states_that_fail_the_same_cases_are_nearer_than_slightly_more_alike_code(
    submit, make_course, double, grader
) -> None:
    same_failures = "def double(x):\n    y = x\n    return y"
    course = make_course(
        double, {"a": ["def double(x):\n    return x * 2", code(1)], "b": [same_failures, code(2)]}
    )
    agent = RetrievalAgent(course, grader=grader)
    assert submit(agent, double, "def double(x):\n    return x * 1") == code(2)


def test_the_last_submission_of_a_log_has_no_successor_and_is_no_neighbour(
    submit, make_course, double, grader
) -> None:
    course = make_course(double, {"a": [SLIP, WRONG], "b": [WRONG]})
    assert submit(RetrievalAgent(course, grader=grader), double, WRONG) == WRONG
    alone = make_course(double, {"a": [WRONG], "me": [WRONG, RIGHT]})
    assert submit(RetrievalAgent(alone, grader=grader), double, code(5)) == code(5)


def test_equal_distances_go_to_the_smaller_student_and_the_earlier_state(
    submit, make_course, double, grader
) -> None:
    logs = {"b": [WRONG, code(1), WRONG, code(2)], "a": [ALSO_WRONG, code(3), WRONG, code(4)]}
    for order in itertools.permutations(logs):
        course = make_course(double, {student: logs[student] for student in order})
        agent = RetrievalAgent(course, grader=grader)
        assert submit(agent, double, WRONG) == code(3)
        assert submit(agent, double, WRONG, student="a") == code(1)


def test_under_a_test_script_the_grades_stand_for_the_cases(submit, make_course, grader) -> None:
    script = TestScript(
        "from cs110 import autograder\n"
        "def test_passed():\n"
        "    out, _ = autograder.run_script('student.py', [])\n"
        "    return 100 if 'yes' in out else 50 if 'maybe' in out else 0\n"
        "print('Unit Test Returned:', test_passed())\n"
    )
    say = Assignment("say", "Say", "Print yes.", TestSuite(script=script))
    logs = {"a": ["print('yes')", "a = 1"], "b": ["x = 'maybe'\nprint(x)", "b = 1"]}
    agent = RetrievalAgent(make_course(say, logs), grader=grader)
    assert submit(agent, say, "print('maybe')") == "b = 1"
    assert submit(agent, say, "print('oh yes')") == "a = 1"


def test_on_real_logs_it_submits_what_another_student_submitted(itap, grader, submit) -> None:
    agent = RetrievalAgent(itap, grader=grader)
    authors: dict[tuple[str, str], set[str]] = {}
    for trajectory in itap.trajectories:
        for submission in trajectory.submissions[1:]:
            key = (trajectory.assignment_id, submission.code)
            authors.setdefault(key, set()).add(trajectory.student_id)
    asked = 0
    for trajectory in itap.trajectories:
        if trajectory.assignment_id in ("oneToN", "isPunctuation", "kthDigit"):
            assignment = itap.assignment(trajectory.assignment_id)
            for position, submission in enumerate(trajectory.submissions, start=1):
                student = trajectory.student_id
                found = submit(
                    agent, assignment, submission.code, student=student, position=position
                )
                assert authors[assignment.id, found] - {student}
                asked += 1
    assert asked > 50
