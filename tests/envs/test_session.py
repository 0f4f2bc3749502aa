"""A person's session: the episode and the transcript, without a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from novicegym.courses.load import load_course
from novicegym.courses.model import Course, Trajectory
from novicegym.courses.transcript import Transcript
from novicegym.dialogs.serialize import Dialog
from novicegym.dialogs.tutoring import split_message
from novicegym.envs.session import Session
from novicegym.envs.student import StudentEnv
from novicegym.envs.tutor import TutorEnv
from novicegym.errors import GraderError, UsageError
from novicegym.grading.grader import Grader

WRONG = "def add(a, b):\n    return a - b\n"
RIGHT = "def add(a, b):\n    return a + b\n"


class Says:
    """Says the next of some texts to each dialog; raises those that are exceptions."""

    name = "says"

    def __init__(self, *texts: str | BaseException) -> None:
        self.texts = list(texts)
        self.read: list[Dialog] = []

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        self.read += dialogs
        text = self.texts.pop(0)
        if isinstance(text, BaseException):
            raise text
        return [text]


def stored(folder: Path) -> Trajectory:
    [trajectory] = load_course(str(folder)).trajectories
    return trajectory


def clock() -> Any:
    times = (datetime(2025, 1, 1) + timedelta(minutes=number) for number in range(100))
    return lambda: next(times)


def test_what_the_student_submits_and_reads_is_in_the_transcript(
    tmp_path: Path, small_course: Course, grader: Grader
) -> None:
    env = StudentEnv(small_course, tutor=Says("```tutor\nLine 2?\n```"), grader=grader)
    transcript = Transcript(tmp_path)
    session = Session(env, {"assignment": "add"}, transcript=transcript, now=clock())
    assert session.chair == "student"
    assert session.last_code == ""
    assert not session.is_stored
    session.act(WRONG)
    assert session.last_code == WRONG
    assert session.is_stored
    dialog = env.episode.dialog()
    session.act(RIGHT)
    assert session.over
    played = stored(tmp_path)
    assert played.key == ("player", "add")
    assert [one.code for one in played.submissions] == [WRONG, RIGHT]
    assert [one.logged_grade for one in played.submissions] == [0.25, 1.0]
    assert [one.at for one in played.submissions] == [
        datetime(2025, 1, 1),
        datetime(2025, 1, 1, 0, 1),
    ]
    first = played.submissions[0].logged_feedback
    assert first == dialog[-1]["content"]  # the user turn to the character
    assert split_message(first) == (session.feedback(0), "```tutor\nLine 2?\n```")
    assert split_message(played.submissions[1].logged_feedback or "") == (session.feedback(1), "")
    with pytest.raises(UsageError, match="the episode is over"):
        session.act(RIGHT)


def test_program_is_submitted_to_the_character(
    tmp_path: Path, small_course: Course, grader: Grader
) -> None:
    """What a model's words would be read for is a person's program as it stands."""
    program = "\n\n```python\nx\n```\n<think>\n@@ -1 +1 @@\n  "
    env = StudentEnv(small_course, grader=grader)
    session = Session(env, {"assignment": "add"}, transcript=Transcript(tmp_path))
    session.act(program)
    assert session.last_code == program
    assert stored(tmp_path).submissions[0].code == program


def test_prefix_of_the_log_is_part_of_the_transcript(
    tmp_path: Path, small_course: Course, grader: Grader
) -> None:
    env = StudentEnv(small_course, past_log=True, horizon=9, grader=grader)
    start = {"trajectory": ("ben", "add"), "position": 1}
    session = Session(env, start, transcript=Transcript(tmp_path), name="me")
    assert session.last_code == WRONG
    assert not list(load_course(str(tmp_path)).trajectories)  # she has done nothing yet
    for _ in range(3):  # further than the log, which has two more
        session.act("x = 1")
    assert not session.over
    played = stored(tmp_path)
    assert played.key == ("me", "add")
    assert [one.code for one in played.submissions] == [WRONG, *["x = 1"] * 3]
    assert played.submissions[0].at is None
    assert (played.submissions[0].logged_feedback or "").startswith("Grade: 25/100")


def test_what_the_tutor_says_is_in_the_transcript(
    tmp_path: Path, small_course: Course, grader: Grader
) -> None:
    student = Says(WRONG, WRONG, RIGHT)
    env = TutorEnv(small_course, student=student, grader=grader)
    session = Session(env, {"assignment": "add"}, transcript=Transcript(tmp_path))
    assert session.chair == "tutor"
    assert session.last_code.strip() == WRONG.strip()
    session.act(" Minus?\n")
    session.act("")
    assert session.over
    assert "Minus?" in student.read[1][-1]["content"]
    played = stored(tmp_path)
    assert played.key == ("says", "add")
    assert load_course(str(tmp_path)).synthetic  # no human wrote a submission
    said = [split_message(one.logged_feedback or "")[1] for one in played.submissions]
    assert said == ["Minus?", "", ""]
    assert [one.logged_grade for one in played.submissions] == [0.25, 0.25, 1.0]
    assert all(one.at is not None for one in played.submissions)


def test_tutor_of_a_logged_student_keeps_her_name(
    tmp_path: Path, small_course: Course, grader: Grader
) -> None:
    env = TutorEnv(small_course, student=Says(RIGHT), grader=grader)
    start = {"trajectory": ("ben", "add"), "position": 1}
    session = Session(env, start, transcript=Transcript(tmp_path))
    session.act("Plus!")
    assert stored(tmp_path).key == ("ben", "add")
    assert not load_course(str(tmp_path)).synthetic  # the prefix is a human's, as far as known


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("no answer")])
def test_message_is_kept_when_the_student_does_not_answer(
    failure: BaseException, tmp_path: Path, small_course: Course, grader: Grader
) -> None:
    env = TutorEnv(small_course, student=Says(WRONG, failure), grader=grader)
    session = Session(env, {"assignment": "add"}, transcript=Transcript(tmp_path))
    with pytest.raises(type(failure)):
        session.act("Minus?")
    [submission] = stored(tmp_path).submissions
    assert split_message(submission.logged_feedback or "")[1] == "Minus?"


def test_submission_is_kept_when_ctrl_c_ends_the_tutors_thinking(
    tmp_path: Path, small_course: Course, grader: Grader
) -> None:
    env = StudentEnv(small_course, tutor=Says(KeyboardInterrupt()), grader=grader)
    session = Session(env, {"assignment": "add"}, transcript=Transcript(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        session.act(WRONG)
    [submission] = stored(tmp_path).submissions
    assert (submission.code, submission.logged_grade) == (WRONG, 0.25)


def test_submission_that_could_not_be_graded_is_kept_without_a_grade(
    tmp_path: Path, small_course: Course
) -> None:
    closed = Grader()
    env = StudentEnv(small_course, grader=closed)
    session = Session(env, {"assignment": "add"}, transcript=Transcript(tmp_path))
    closed.close()
    for program in (WRONG, RIGHT):  # the second try stands in the first one's place
        with pytest.raises(GraderError, match="closed"):
            session.act(program)
        [submission] = stored(tmp_path).submissions
        assert (submission.code, submission.logged_grade) == (program, None)


def test_session_without_a_transcript_is_played_all_the_same(
    small_course: Course, grader: Grader
) -> None:
    session = Session(StudentEnv(small_course, grader=grader), {"assignment": "add"})
    session.act(RIGHT)
    assert session.over


def test_a_seed_decides_what_the_simulated_student_does() -> None:
    def played(seed: int) -> list[str]:
        env = TutorEnv("cs1", past_log=True)
        Session(env, {"assignment": env.course.trajectories[0].assignment_id}, seed=seed)
        return [code for code, _ in env.episode.turns]

    programs = [played(seed) for seed in range(4)]
    assert [played(seed) for seed in range(4)] == programs
    assert len({tuple(codes) for codes in programs}) > 1
