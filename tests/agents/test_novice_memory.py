"""What the simulated beginner takes from an episode with a tutor to the next assignment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from novicegym.agents.novice import NoviceAgent
from novicegym.agents.novice_hints import read_hint
from novicegym.agents.novice_memory import overcome
from novicegym.agents.novice_process import first_submission
from novicegym.agents.novice_student import Novice, Process, Shown, draw_novice
from novicegym.courses.cs1.build import load_assignments
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, serialize
from novicegym.grading.grader import Grader

TARGET = """\
def larger(numbers, limit):
    found = []
    for number in numbers:
        if number >= limit:
            found.append(number)
    return found
"""
CODE = TARGET.replace(">=", ">").replace("found = []", "found = [0]")
"""With faults in lines 2 and 4."""
PROCESS = Process(hint_focus=1.0, copying=9.0)
BELIEVER = replace(
    draw_novice(np.random.default_rng(3), PROCESS),
    misconceptions=("boundary_comparison", "wrong_method"),
)


def left_behind(
    message: str, after: str, novice: Novice = BELIEVER, process: Process = PROCESS
) -> str | None:
    shown = Shown("case", hint=read_hint(message))
    rng = np.random.default_rng(0)
    return overcome(novice, [CODE], shown, [TARGET], after, rng, process)


def test_a_hint_at_a_misconception_that_is_mended_after_it() -> None:
    mended = CODE.replace(">", ">=")
    assert left_behind("Look at line 4.", mended) == "boundary_comparison"
    assert left_behind("Look at line 4.", TARGET) == "boundary_comparison"
    # gone, and what was right with it; wrong in another way
    for after in (
        "",
        "exit()",
        "print('hello')\n",
        CODE.replace("        if number > limit:\n", ""),
    ):
        assert left_behind("Look at line 4.", after) is None
    for other in ("number < limit:", "number > limit + 1:", "number >= limit", "number > limits:"):
        assert left_behind("Look at line 4.", CODE.replace("number > limit:", other)) is None
    # not mended; mended elsewhere; not pointed at; nothing said; not believed; looked elsewhere
    assert left_behind("Look at line 4.", CODE) is None
    assert left_behind("Look at line 2.", CODE.replace("[0]", "[]")) is None
    assert left_behind("Look at line 2.", mended) is None
    assert left_behind("", mended) is None
    assert left_behind("Look at line 4.", mended, replace(BELIEVER, misconceptions=())) is None
    assert left_behind("Look at line 4.", mended, process=Process(hint_focus=0.0)) is None


def test_a_program_that_is_copied_teaches_nothing() -> None:
    message = f"Look at line 4.\n```python\n{TARGET}```"
    assert left_behind(message, TARGET) is None
    assert left_behind(message, TARGET, process=replace(PROCESS, copying=0.0)) is not None


def test_who_got_over_a_misconception_does_not_make_its_bugs() -> None:
    process = Process(first_bugs=12.0, first_slip=0.0, unfinished=0.0, misconception_weight=1e6)
    believer = replace(BELIEVER, misconceptions=("boundary_comparison",))
    cured = replace(believer, cured=("boundary_comparison",))

    def firsts(novice: Novice) -> list[str]:
        return [
            first_submission(novice, TARGET, np.random.default_rng(seed), process)
            for seed in range(30)
        ]

    assert sum(">=" not in code for code in firsts(believer)) > 5
    assert all(">=" in code for code in firsts(cured))
    assert firsts(replace(believer, cured=("wrong_method",))) == firsts(believer)


@pytest.fixture
def episode(grader: Grader) -> tuple[Course, Dialog, dict[str, Any]]:
    """A novice of her own on one assignment with a message, then on the next one."""
    assignments = load_assignments()
    course = Course("cs1", assignments)
    first, second = list(assignments.values())[5:7]
    right = first.solutions[0]
    wrong = right.replace("==", "!=")
    assert wrong != right
    turns = [(code, grader.grade(first, code)) for code in (wrong, right)]
    line = next(n for n, text in enumerate(wrong.split("\n"), 1) if "!=" in text)
    dialog = serialize(first, turns, DialogFormat(), [f"Look at line {line}.", ""])
    seat = {"student_id": "ann", "code": "", "grade": 0.0, "step": 0, "position": 0}
    past = {"dialog": dialog, "info": seat | {"assignment_id": first.id, "position": 1, "step": 1}}
    info = seat | {"assignment_id": second.id, "past": past}
    return course, serialize(second, [], DialogFormat()), info


def test_the_agent_begins_the_next_assignment_anew(
    episode: tuple[Course, Dialog, dict[str, Any]],
) -> None:
    course, dialog, info = episode
    fresh = {key: value for key, value in info.items() if key != "past"}
    never = NoviceAgent(course, process=Process(cure=0.0))
    assert never.act([dialog], [info]) == never.act([dialog], [fresh])


def test_the_agent_reads_in_her_past_what_she_got_over(
    episode: tuple[Course, Dialog, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    course, dialog, info = episode
    seen: list[tuple[str, ...]] = []

    def first(novice: Novice, *_: object) -> str:
        seen.append(novice.cured)
        return "x = 1\n"

    monkeypatch.setattr("novicegym.agents.novice.first_submission", first)
    told = {
        seed: NoviceAgent(course, seed=seed, process=replace(PROCESS, cure=1.0, misconceptions=40))
        for seed in range(12)
    }
    for agent in told.values():
        agent.act([dialog], [info])
    assert any(seen)
    before, seen[:] = [*seen], []
    for agent in told.values():
        agent.act([dialog], [info])
    assert seen == before
    seen.clear()
    silent = [message | {} for message in info["past"]["dialog"]]
    silent[3]["content"] = silent[3]["content"].split("```tutor")[0]
    for agent in told.values():
        agent.act([dialog], [info | {"past": info["past"] | {"dialog": silent}}])
    assert not any(seen)
