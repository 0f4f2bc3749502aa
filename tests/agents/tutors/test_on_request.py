"""A tutor who waits to be asked: who asks is drawn, and only she is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from novicegym.agents.asks import FEATURES, AsksPolicy
from novicegym.agents.tutors import on_request
from novicegym.agents.tutors.on_request import OnRequestTutor
from novicegym.dialogs.serialize import Dialog
from novicegym.errors import UsageError


class Talker:
    """Says whose state it is asked about, and remembers how many it was."""

    name = "talker"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Any]) -> list[str]:
        self.asked.append(len(dialogs))
        return [f"{info['student_id']} {info['step']}" for info in infos]


def policy(intercept: float, **weights: float) -> AsksPolicy:
    return AsksPolicy(intercept, dict.fromkeys(FEATURES, 0.0) | weights)


def state(student: str, step: int = 1, outcome: str = "logical") -> dict[str, Any]:
    return {
        "student_id": student,
        "assignment_id": "a",
        "position": 2,
        "step": step,
        "code": f"x = {step}",
        "grade": 0.5,
        "outcome": outcome,
    }


def say(tutor: OnRequestTutor, *states: dict[str, Any]) -> list[str]:
    return tutor.act([[] for _ in states], states)


def test_the_other_tutor_sees_only_who_asks() -> None:
    talker = Talker()
    tutor = OnRequestTutor(talker, policy(50.0))
    assert say(tutor, state("ann"), state("ben", outcome="correct"), state("cem", outcome="")) == [
        "ann 1",
        "",
        "",
    ]
    assert say(OnRequestTutor(talker, policy(-50.0)), state("ann"), state("ben")) == ["", ""]
    assert talker.asked == [1]
    assert tutor.name == "on_request(talker)"


def test_students_ask_as_often_as_the_policy_says() -> None:
    states = [state(f"s{i}") for i in range(2000)]
    said = say(OnRequestTutor(Talker(), policy(-1.0986)), *states)  # log odds of 1 to 3
    assert 0.22 < sum(map(bool, said)) / 2000 < 0.28
    again = say(OnRequestTutor(Talker(), policy(-1.0986), seed=1), *states)
    assert again != said


def test_a_state_is_answered_alike_however_it_is_asked() -> None:
    states = [state(f"s{i}") for i in range(40)]
    tutor = OnRequestTutor(Talker(), policy(0.0))
    said = say(tutor, *states)
    assert 0 < sum(map(bool, said)) < 40
    assert say(tutor, *reversed(states)) == said[::-1]
    assert [answer for one in states for answer in say(tutor, one)] == said


def test_who_has_asked_is_remembered_within_an_episode() -> None:
    # At step 1 there are 3 submissions, at step 2 there are 4: log2(3) < 1.65 < log2(4).
    asks = policy(165.0, attempts=-100.0, asked_here=500.0)
    tutor = OnRequestTutor(Talker(), asks)
    said = [say(tutor, state("ann", step))[0] for step in (1, 2, 3)]
    assert said == ["ann 1", "ann 2", "ann 3"]
    assert say(OnRequestTutor(Talker(), asks), state("ann", 2)) == [""]
    # A step that comes again begins an episode in which nothing later has happened.
    later = OnRequestTutor(Talker(), policy(-165.0, attempts=100.0, asked_here=-500.0))
    assert [say(later, state("ann", step))[0] for step in (2, 3)] == ["ann 2", ""]
    assert [say(later, state("ann", step))[0] for step in (1, 2)] == ["", "ann 2"]


def test_of_many_episodes_those_asked_about_last_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_request, "MOST_EPISODES", 2)
    # She asks once, at her third submission, and from then on each time that it is remembered.
    tutor = OnRequestTutor(Talker(), policy(165.0, attempts=-100.0, asked_here=500.0))
    first = [say(tutor, state(student))[0] for student in ("ann", "ben")]
    assert first == ["ann 1", "ben 1"]
    assert say(tutor, state("ann", 2)) == ["ann 2"]
    assert say(tutor, state("cem")) == ["cem 1"]
    assert say(tutor, state("ann", 3)) == ["ann 3"]
    assert say(tutor, state("ben", 2)) == [""]


def test_a_wrong_number_of_messages_is_the_other_tutors_fault() -> None:
    class Mute(Talker):
        def act(self, dialogs: Sequence[Dialog], infos: Sequence[Any]) -> list[str]:
            return []

    with pytest.raises(UsageError, match="'talker' gave 0 messages for 1"):
        say(OnRequestTutor(Mute(), policy(50.0)), state("ann"))
