"""What models are trained on: the dialogs of students, and those of correct programs."""

from __future__ import annotations

from dataclasses import replace

from novicegym.courses.model import Course
from novicegym.courses.splits import take_students
from novicegym.dialogs.serialize import DialogFormat
from novicegym.grading.grader import Grader
from novicegym.training.logged import logged_dialogs, solution_dialogs

FORMAT = DialogFormat()


def test_a_dialog_ends_with_the_first_correct_submission(
    small_course: Course, grader: Grader
) -> None:
    ann = small_course.trajectories[0]
    on_and_on = replace(ann, submissions=ann.submissions + ann.submissions[:2])
    course = Course("small", small_course.assignments, (on_and_on, *small_course.trajectories[1:]))
    logged = logged_dialogs(course, grader, FORMAT)
    assert logged[0] == logged_dialogs(small_course, grader, FORMAT)[0]
    assert len(logged[0].codes) == len(ann.submissions)
    for one, trajectory in zip(logged, course.trajectories, strict=True):
        submitted = [submission.code for submission in trajectory.submissions]
        assert list(one.codes) == submitted[: len(one.codes)]
        assert not any(verdict.correct for verdict in one.verdicts[:-1])
        said = [message["role"] for message in one.dialog]
        assert said == ["system", "user", *["assistant", "user"] * len(one.codes)]


def test_solutions_are_all_correct_programs_of_an_assignment_each_once(
    small_course: Course, grader: Grader
) -> None:
    dialogs = solution_dialogs(small_course, grader, FORMAT)
    assert [one.assignment_id for one in dialogs] == ["add", "double"]
    for one in dialogs:
        assignment = small_course.assignment(one.assignment_id)
        submitted = {
            submission.code
            for trajectory in small_course.trajectories
            if trajectory.assignment_id == one.assignment_id
            for submission in trajectory.submissions
        }
        everything = sorted({*assignment.solutions, *submitted})
        verdicts = grader.grade_batch([(assignment, code) for code in everything])
        correct = [c for c, verdict in zip(everything, verdicts, strict=True) if verdict.correct]
        assert sorted(one.codes) == correct
        assert len(one.dialog) == 2 + 2 * len(correct)


def test_programs_held_out_are_none_of_those_that_were_learnt(
    small_course: Course, grader: Grader
) -> None:
    cem, others = take_students(small_course, ["cem"])
    learnt = solution_dialogs(cem, grader, FORMAT)
    held_out = solution_dialogs(others, grader, FORMAT, without=learnt)
    known = {(one.assignment_id, code) for one in learnt for code in one.codes}
    left = {(one.assignment_id, code) for one in held_out for code in one.codes}
    assert left
    assert not left & known
    everything = solution_dialogs(small_course, grader, FORMAT)
    assert left | known == {(one.assignment_id, code) for one in everything for code in one.codes}


def test_their_order_is_drawn_by_the_seed(small_course: Course, grader: Grader) -> None:
    drawn = {
        tuple(one.codes for one in solution_dialogs(small_course, grader, FORMAT, seed=seed))
        for seed in range(8)
    }
    assert len(drawn) > 1
    again = solution_dialogs(small_course, grader, FORMAT, seed=1)
    assert again == solution_dialogs(small_course, grader, FORMAT, seed=1)
