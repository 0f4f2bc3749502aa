"""What a student is asked once the tutor is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from novicegym.agents.language_model import prompt_window, sampling_seed
from novicegym.agents.novice import NoviceAgent
from novicegym.courses.model import Assignment, Course
from novicegym.dialogs.serialize import (
    Dialog,
    DialogFormat,
    assignment_text,
    open_dialog,
    with_past,
)
from novicegym.dialogs.windows import MessageCounter
from novicegym.envs.afterwards import Afterwards, next_alike, play_afterwards
from novicegym.envs.episode import EpisodeRules, Start, begin, play
from novicegym.envs.tutor import TutorEnv
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.rewards.base import NoReward
from novicegym.rewards.tutoring import FollowUp

ADD = "def add(a, b):\n    return a + b"
DOUBLE = "print(2 * int(input()))"
ANN = {"trajectory": ("ann", "add"), "position": 2}
BOTH = FollowUp(samples=4, retention=True)


class Learner:
    """Right in every second sample, and on the next assignment where its past says "double"."""

    name = "learner"

    def __init__(self, course: Course | None = None) -> None:
        self.asked: list[tuple[Dialog, Mapping[str, Any]]] = []

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        self.asked += zip(dialogs, infos, strict=True)
        return [self._answer(*one) for one in zip(dialogs, infos, strict=True)]

    def _answer(self, dialog: Dialog, info: Mapping[str, Any]) -> str:
        if info["assignment_id"] == "double":
            past = info["past"]["dialog"]
            heard = any("Think of the double" in message["content"] for message in past)
            return DOUBLE if heard else "print(input())"
        return ADD if info.get("sample", 1) % 2 == 0 else "x = 1"


@pytest.fixture
def course(small_course: Course) -> Course:
    """The small course, whose assignments have a concept in common."""
    return replace(
        small_course,
        assignments={
            one.id: replace(one, concepts=("arithmetic", one.id))
            for one in small_course.assignments.values()
        },
    )


def test_the_tutors_reward_is_paid_when_the_episode_ends(course: Course, grader: Grader) -> None:
    student = Learner()
    reward = {"post_solve:4": 1.0, "retention": 2.0}
    env = TutorEnv(course, student=student, grader=grader, reward=reward, horizon=2)
    paid = []
    for message in ("Think of the double.", ""):
        env.reset(options=ANN)
        _, first, _, truncated, _ = env.step(message)
        assert (first, truncated) == (0.0, False)
        _, last, _, truncated, _ = env.step("")
        assert truncated
        paid.append(last)
    right, wrong = grader.grade(course.assignment("double"), DOUBLE).grade, paid[1] - 0.5
    assert right == 1
    assert paid == [0.5 + 2.0, 0.5 + wrong]
    assert wrong < 2
    assert len(student.asked) == 2 * (2 + 4 + 1)


def test_samples_are_asked_for_where_the_dialogue_ended(course: Course, grader: Grader) -> None:
    student = Learner()
    env = TutorEnv(course, student=student, grader=grader, reward="post_solve", horizon=1)
    env.reset(options=ANN)
    env.step("Look at line 2.")
    asked = student.asked[1:]
    assert [info["sample"] for _, info in asked] == list(range(1, 9))
    assert all(dialog == env.episode.dialog() for dialog, _ in asked)
    assert all(info["step"] == 1 for _, info in asked)
    assert len(env.episode.turns) == 3  # what is asked afterwards is no part of it


def test_the_next_assignment_comes_with_what_was_before_it(course: Course, grader: Grader) -> None:
    student = Learner()
    env = TutorEnv(course, student=student, grader=grader, reward="retention", horizon=1)
    env.reset(options=ANN)
    env.step("Look at line 2.")
    dialog, info = student.asked[-1]
    double, past = course.assignment("double"), env.episode.dialog()
    assert dialog == open_dialog(double, DialogFormat())
    assert info["past"] == {"dialog": past, "info": env.episode.info(reveal=False)}
    assert (info["student_id"], info["assignment_id"]) == ("ann", "double")
    assert (info["position"], info["step"], info["code"]) == (0, 0, "")


def test_a_model_reads_its_past_before_the_assignment_as_far_as_there_is_room(
    course: Course, grader: Grader
) -> None:
    log = course.trajectories[0]
    [episode] = begin([Start.at(course, log, 3)], EpisodeRules(), grader)
    double = course.assignment("double")
    dialog, past = open_dialog(double, DialogFormat()), episode.dialog()
    info = {"assignment_id": "double", "past": {"dialog": past}}
    counter = MessageCounter(lambda message: len(message["content"]))
    whole = with_past(dialog, past)
    assert [message["role"] for message in whole] == [message["role"] for message in past]
    seen = []
    for context in range(counter.measure(dialog) + 10, counter.measure(whole) + 20, 7):
        window = prompt_window(counter, dialog, info, context, 5).dialog
        assert window[-1]["content"].endswith(assignment_text(double))
        seen.append(len(window))
    assert seen == sorted(seen)
    assert set(seen) == {2, 4, 6, len(whole)}
    assert prompt_window(counter, dialog, info, 10**6, 5).dialog == whole
    with pytest.raises(UsageError, match="'double'"):
        prompt_window(counter, dialog, info, counter.measure(dialog), 5)


def test_who_gave_up_is_asked_for_the_next_assignment_alone(course: Course, grader: Grader) -> None:
    log = course.trajectories[0]
    starts = [Start.at(course, log, 1), Start.at(course, log, 2)]
    episodes = begin(starts, EpisodeRules(exit_ends_episode=True, horizon=1), grader)
    play(episodes, ["exit()", "x = 1"], grader, NoReward())
    student = Learner()
    gave_up, stayed = play_afterwards(episodes, student, course, grader, BOTH)
    assert (gave_up.post_grades, len(stayed.post_grades)) == ((), 4)
    assert gave_up.retention_grade == stayed.retention_grade
    past = student.asked[-2][1]["past"]["dialog"]
    roles = [message["role"] for message in with_past(student.asked[-2][0], past)]
    assert roles == ["system", "user", *["assistant", "user"] * 2]


def test_nobody_is_asked_where_nothing_is_wanted(course: Course, grader: Grader) -> None:
    [episode] = begin([Start.at(course, course.trajectories[0], 1)], EpisodeRules(), grader)
    student = Learner()
    after = play_afterwards([episode], student, course, grader, FollowUp())
    assert after == [Afterwards((), None)]
    assert play_afterwards([], student, course, grader, BOTH) == []
    assert not student.asked


def test_after_the_last_assignment_there_is_no_grade(course: Course, grader: Grader) -> None:
    log = next(one for one in course.trajectories if one.assignment_id == "double")
    [episode] = begin([Start.at(course, log, 1)], EpisodeRules(horizon=1), grader)
    play([episode], ["x = 1"], grader, NoReward())
    [after] = play_afterwards([episode], Learner(), course, grader, FollowUp(retention=True))
    assert after == Afterwards((), None)


def test_the_next_alike_shares_a_concept_or_the_lesson(small_course: Course) -> None:
    add = small_course.assignment("add")

    def made(*given: tuple[str, tuple[str, ...], str | None]) -> Course:
        ones: dict[str, Assignment] = {
            name: replace(add, id=name, concepts=concepts, lesson=lesson)
            for name, concepts, lesson in given
        }
        return Course("made", ones)

    def after(course: Course, name: str) -> str | None:
        found = next_alike(course, course.assignment(name))
        return found.id if found else None

    course = made(
        ("a", ("loop", "list"), "1"), ("b", ("if",), "1"), ("c", ("list",), "2"), ("d", (), "1")
    )
    assert [after(course, name) for name in "abcd"] == ["c", None, None, None]
    course = made(("a", (), "1"), ("b", (), None), ("c", (), "1"), ("d", (), None))
    assert [after(course, name) for name in "abcd"] == ["c", None, None, None]


def test_samples_of_one_state_are_other_draws_and_the_same_student() -> None:
    info = {"student_id": "ann", "assignment_id": "add", "position": 1, "step": 2}
    seeds = {sampling_seed(0, info), *(sampling_seed(0, info | {"sample": n}) for n in range(1, 9))}
    assert len(seeds) == 9


def test_a_novice_draws_anew_in_each_sample(grader: Grader) -> None:
    env = TutorEnv("cs1", grader=grader, reward="post_solve:12", horizon=1, past_log=True)
    different = []
    for seed in range(6):
        env.reset(seed=seed)
        env.step("")
        student = NoviceAgent(env.course)
        wanted = FollowUp(samples=12)
        [after] = play_afterwards([env.episode], student, env.course, grader, wanted)
        [again] = play_afterwards([env.episode], student, env.course, grader, wanted)
        assert after == again
        different.append(len({*after.post_grades}))
    assert max(different) > 1


@pytest.mark.parametrize("answer", ["x = 1", ["x = 1"] * 3, [None] * 4])
def test_a_student_that_returns_no_list_of_texts_is_the_callers_mistake(
    course: Course, grader: Grader, answer: Any
) -> None:
    class Wrong(Learner):
        def act(self, dialogs: Any, infos: Any) -> Any:
            return answer

    [episode] = begin([Start.at(course, course.trajectories[0], 1)], EpisodeRules(), grader)
    with pytest.raises(UsageError, match="student 'learner' must return"):
        play_afterwards([episode], Wrong(), course, grader, FollowUp(samples=4))
