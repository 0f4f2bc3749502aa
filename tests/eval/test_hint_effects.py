"""What follows help: by hand, with a planted effect and a planted confounder, logs as records."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import TooFewError
from novicegym.eval.hint_effects import MEASURES, HintEffects, hint_effects
from novicegym.eval.hint_states import Graded, HintState, simulated_states
from novicegym.eval.records import TUTORED_RECORDS


def graded(quarters: int, code: str = "", outcome: str = "logical") -> Graded:
    return Graded(code, Fraction(quarters, 4), "correct" if quarters == 4 else outcome)


def state(
    student: str,
    past: str,
    following: str = "",
    *,
    helped: bool = False,
    before: bool = False,
    assignment: str = "a",
    ended: bool = True,
    could_follow: int | None = None,
) -> HintState:
    """Grades in quarters, a digit a submission; every program is its place and grade."""
    made = [graded(int(digit), f"{place}:{digit}") for place, digit in enumerate(past + following)]
    return HintState(
        student,
        assignment,
        number=len(past),
        past=tuple(made[: len(past)]),
        following=tuple(made[len(past) :]),
        ended=ended,
        helped=helped,
        helped_before=before,
        could_follow=could_follow,
    )


def values(found: HintEffects, name: str) -> list[float | None]:
    effect = found.effects[name]
    cells = (effect.helped, effect.others, effect.matched, effect.without, effect.difference)
    return [None if one is None else one.value for one in cells]


STATES = [
    # Two helped and two others alike: after 1 of 4.
    state("ann", "1", "4", helped=True),
    state("ben", "1", "22", helped=True),
    state("cem", "1", "1"),
    state("dov", "1"),
    # Nobody like her.
    state("eva", "33", "3", helped=True, assignment="b"),
    # Nobody helped.
    state("fay", "0", "4", assignment="c"),
]


def test_by_hand() -> None:
    found = hint_effects(STATES, match="exact", samples=20)
    assert (found.states, found.students) == (6, 6)
    assert (found.helped, found.helped_students, found.matched) == (3, 3, 2)
    solved = found.effects["solved within 1"]
    assert values(found, "solved within 1") == [1 / 3, 1 / 3, 0.5, 0.0, 0.5]
    assert (solved.helped_states, solved.matched_states, solved.others_compared) == (3, 2, 2)
    assert solved.matched_students == 2
    # Of who submits again: 3/4 and 1/4 more, nothing for eva; cem stays, fay is not alike.
    assert values(found, "grade change") == pytest.approx([1 / 3, 0.5, 0.5, 0.0, 0.5])
    assert values(found, "submits again") == pytest.approx([1, 2 / 3, 1, 0.5, 0.5])
    assert values(found, "logical -> correct") == pytest.approx([1 / 3, 0.5, 0.5, 0, 0.5])
    assert values(found, "compile -> correct") == [None] * 5
    assert values(found, "grade change before") == [0.0, None, None, None, None]


def test_cells_weigh_as_many_as_were_helped_in_them() -> None:
    one_cell = [state("ann", "1", "4", helped=True), state("ben", "1", "4", helped=True)]
    other = [state("ann", "1", "4", helped=True, assignment="b")]
    alike = [state("cem", "1", "4")] + [
        state(s, "1", assignment="b") for s in ("cem", "dov", "eva")
    ]
    found = hint_effects([*one_cell, *other, *alike], samples=20)
    assert values(found, "solved within 1") == pytest.approx([1, 1 / 4, 1, 2 / 3, 1 / 3])


def test_near_matches_what_exact_does_not() -> None:
    states = [state("ann", "112", "4", helped=True), state("ben", "1111", "1")]
    assert hint_effects(states, match="exact", samples=20).matched == 0
    near = hint_effects(states, samples=20)
    assert near.matched == 1
    assert values(near, "solved within 3")[2:] == [1, 0, 1]
    other_outcome = replace(states[1], past=(*states[1].past[:3], graded(1, "", "runtime")))
    assert hint_effects([states[0], other_outcome], samples=20).matched == 0


def test_an_episode_that_was_cut_is_no_failure() -> None:
    cut = [
        state("ann", "1", "22", helped=True, ended=False),
        state("ben", "1", "11"),
        state("cem", "1", "3", ended=False),
    ]
    found = hint_effects(cut, samples=20)
    assert found.effects["solved within 2"].helped_states == 1
    assert found.effects["solved within 3"].helped_states == 0
    assert found.effects["solved within 2"].others_compared == 1


def test_a_state_too_near_the_cut_does_not_say_whether_it_is_solved_or_not() -> None:
    near = [
        state("ann", "1", "4", helped=True, could_follow=2),
        state("ben", "1", "22", helped=True, ended=False, could_follow=2),
        state("cem", "1", "4", could_follow=5),
        state("dov", "1", "1", could_follow=2),
    ]
    found = hint_effects(near, samples=20)
    assert values(found, "solved within 1")[:2] == [0.5, 0.5]
    assert values(found, "solved within 2")[:2] == [0.5, 0.5]
    # Of the two who were helped neither says so; of the others cem alone.
    assert values(found, "solved within 3")[:2] == [None, 1.0]
    assert found.effects["solved within 3"].helped_states == 0


def test_cut_episodes_do_not_look_as_if_more_were_solved() -> None:
    """Half of all submissions are correct: so many are solved within k, wherever the cut is."""
    rng = np.random.default_rng(4)
    rows: list[dict[str, Any]] = []
    for student in range(400):
        for step in range(1, 11):
            right = rng.random() < 0.5
            stop = "correct" if right else "horizon" if step == 10 - student % 9 else None
            rows.append(
                {
                    "student_id": f"s{student}",
                    "assignment_id": "a",
                    "protocol": "paper",
                    "position": 0,
                    "step": step,
                    "message": "",
                    "generated_code": "x",
                    "grade_num": int(right),
                    "grade_den": 1,
                    "stop": stop,
                    "outcome": "correct" if right else "logical",
                }
            )
            if stop:
                # Rows go on to the end of the log, whoever stopped before.
                rows += [
                    {**rows[-1], "step": later, "stop": None, "generated_code": None}
                    for later in range(step + 1, 11 - student % 9)
                ]
                break
    states = simulated_states([pa.Table.from_pylist(rows, schema=TUTORED_RECORDS)])
    assert {one.could_follow for one in states} == set(range(1, 10))
    found = hint_effects(states, samples=100)
    for most in (2, 3):
        others = found.effects[f"solved within {most}"].others
        assert others is not None
        assert others.low < 1 - 0.5**most < others.high


def test_first_only_leaves_out_what_comes_after_help() -> None:
    states = [*STATES, state("ann", "11", "4", before=True)]
    found = hint_effects(states, match="exact", first_only=True, samples=20)
    assert found == hint_effects(STATES, match="exact", samples=20)


def test_matching_removes_a_planted_confounder_and_keeps_the_effect() -> None:
    rng = np.random.default_rng(5)
    states = []
    for student in range(80):
        for assignment in range(5):
            for place in range(3):
                weak = rng.random() < 0.5
                helped = rng.random() < (0.6 if weak else 0.1)
                solves = rng.random() < (0.1 if weak else 0.6) + 0.2 * helped
                states.append(
                    state(
                        f"s{student}",
                        ("0" if weak else "3") * (place + 1),
                        "4" if solves else "",
                        helped=helped,
                        assignment=f"a{assignment}",
                    )
                )
    effect = hint_effects(states, samples=200).effects["solved within 1"]
    assert effect.helped is not None
    assert effect.others is not None
    assert effect.difference is not None
    assert effect.helped.value < effect.others.value  # who is helped is weak
    assert effect.difference.low < 0.2 < effect.difference.high
    assert effect.difference.low > 0.1


def test_the_order_of_the_states_does_not_matter() -> None:
    shuffled = random.Random(3).sample(STATES, len(STATES))
    one, other = (hint_effects(states, samples=50) for states in (STATES, shuffled))
    for name in MEASURES:
        assert values(one, name) == pytest.approx(values(other, name), nan_ok=True)
    assert hint_effects(STATES, samples=50, seed=1) == hint_effects(STATES, samples=50, seed=1)


def test_logs_written_as_records_give_the_same_numbers() -> None:
    """What follows a request and what follows a message are measured by one rule."""
    rng = np.random.default_rng(2)
    logged: list[HintState] = []
    rows: list[dict[str, Any]] = []
    for student in (f"s{i}" for i in range(12)):
        for assignment in ("a", "b"):
            grades = [int(g) for g in rng.integers(0, 5, size=6)]
            grades = grades[: grades.index(4) + 1] if 4 in grades else grades
            made = tuple(graded(g, "x" * int(rng.integers(9))) for g in grades)
            asked = [bool(a) for a in rng.random(len(made)) < 0.4]
            for number, one in enumerate(made, start=1):
                if one.grade != 1:
                    logged.append(
                        HintState(
                            student,
                            assignment,
                            number=number,
                            past=made[:number],
                            following=made[number:],
                            ended=True,
                            helped=asked[number - 1],
                            helped_before=any(asked[: number - 1]),
                        )
                    )
            key = {"student_id": student, "assignment_id": assignment, "position": 0}
            said = ["", *("look" if a else "" for a in asked)]
            for step, (one, message) in enumerate(zip(made, said, strict=False), start=1):
                last = one.grade == 1
                rows.append(
                    {
                        **key,
                        "step": step,
                        "message": message,
                        "generated_code": one.code,
                        "grade_num": one.grade.numerator,
                        "grade_den": one.grade.denominator,
                        "outcome": one.outcome,
                        "stop": "correct" if last else None,
                    }
                )
            if made[-1].grade != 1:
                rows.append({**key, "step": len(made) + 1, "message": said[-1], "stop": "exit"})
    simulated = simulated_states([pa.Table.from_pylist(rows, schema=TUTORED_RECORDS)])
    assert set(simulated) == set(logged)
    for first_only in (False, True):
        one, other = (
            hint_effects(states, first_only=first_only, samples=30)
            for states in (logged, sorted(simulated, key=logged.index))
        )
        assert one == other
        assert one.helped > 5


def test_errors() -> None:
    with pytest.raises(UsageError, match="Did you mean 'near'"):
        hint_effects(STATES, match="nere")
    with pytest.raises(TooFewError, match="at least 2 students"):
        hint_effects(STATES[:1])
