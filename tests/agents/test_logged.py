"""The student herself."""

from __future__ import annotations

import pytest

from novicegym.agents.logged import LoggedAgent
from novicegym.dialogs.extract import extract_code
from novicegym.dialogs.serialize import DialogFormat
from novicegym.errors import UsageError

CODES = [f"def double(x):\n    y = {n}\n    z = 0\n    return x * y + z" for n in range(4)]


@pytest.mark.parametrize("code_format", ["code", "dual"])
@pytest.mark.parametrize(("position", "step"), [(1, 0), (1, 1), (2, 1), (3, 0)])
def test_it_is_the_submission_at_position_plus_step(
    submit, make_course, double, position, step, code_format
) -> None:
    course = make_course(double, {"you": CODES[::-1], "me": CODES})
    agent = LoggedAgent(course, fmt=DialogFormat(code=code_format))
    last = CODES[position + step - 1]
    assert submit(agent, double, last, position=position, step=step) == CODES[position + step]


def test_the_first_submission_comes_from_nothing(submit, make_course, double) -> None:
    agent = LoggedAgent(make_course(double, {"me": CODES}))
    assert submit(agent, double, "", position=0) == CODES[0]


def test_beyond_the_end_the_last_submission_is_repeated(submit, make_course, double) -> None:
    agent = LoggedAgent(make_course(double, {"me": CODES}))
    assert submit(agent, double, CODES[3], position=3, step=1) == CODES[3]
    assert submit(agent, double, CODES[3], position=2, step=9) == CODES[3]


def test_students_of_a_batch_may_alternate(submit, make_course, double) -> None:
    agent = LoggedAgent(make_course(double, {"you": CODES[::-1], "me": CODES}))
    for _ in range(2):
        assert submit(agent, double, CODES[0], student="me") == CODES[1]
        assert submit(agent, double, CODES[3], student="you") == CODES[2]


def test_free_play_is_refused_with_the_reason(submit, make_course, double) -> None:
    agent = LoggedAgent(make_course(double, {"me": CODES}))
    with pytest.raises(UsageError, match="none of student 'nobody' on 'double'"):
        submit(agent, double, "x", student="nobody")


@pytest.mark.parametrize("code_format", ["code", "dual"])
def test_real_logs_are_replayed_to_the_character(itap, code_format) -> None:
    agent = LoggedAgent(itap, fmt=DialogFormat(code=code_format))
    replayed = 0
    for trajectory in itap.trajectories:
        previous = ""
        for position, submission in enumerate(trajectory.submissions):
            student_id, assignment_id = trajectory.key
            info = {"student_id": student_id, "assignment_id": assignment_id}
            info |= {"position": position, "step": 0, "code": previous}
            [completion] = agent.act([[]], [info])
            assert extract_code(completion, previous or None).code == submission.code
            previous = submission.code
            replayed += 1
    assert replayed > 1000
