"""Who asks for a hint: a planted rule is found, noise is not, and students are held out whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest

from novicegym.agents.asks import FEATURES, Attempt
from novicegym.courses.readers.hint_requests import HintRequest
from novicegym.errors import UsageError
from novicegym.eval import asking
from novicegym.eval.asking import AskingReport, asking_report
from novicegym.eval.asking_model import (
    AskStates,
    ask_states,
    fit_asks,
    fit_logistic,
    odds_ratios,
    one_thread,
    strength_of,
    with_difficulty,
)
from novicegym.eval.bootstrap import Interval, TooFewError
from novicegym.eval.hint_states import Graded, HintState

START = datetime(2024, 1, 1)


def made_states(
    asks: Callable[[np.random.Generator, int, Graded], bool],
    students: int = 40,
    length: int = 8,
    seed: int = 0,
) -> AskStates:
    """Students who submit at random to two assignments and ask by the given rule."""
    rng = np.random.default_rng(seed)
    states, keys = [], []
    for student in range(students):
        for assignment in ("a", "b"):
            keys.append((f"s{student:03}", assignment))
            made = tuple(
                Graded(
                    f"x = {rng.integers(9)}",
                    Fraction(int(rng.integers(0, 4)), 4),
                    str(rng.choice(["compile", "logical", "runtime"])),
                )
                for _ in range(length)
            )
            asked = [asks(rng, student, one) for one in made]
            states += [
                HintState(
                    f"s{student:03}",
                    assignment,
                    number=number,
                    past=made[:number],
                    following=made[number:],
                    ended=True,
                    helped=asked[number - 1],
                    helped_before=any(asked[: number - 1]),
                )
                for number in range(1, length + 1)
            ]
    return ask_states(states, (), keys)


def value(interval: Interval | None) -> float:
    assert interval is not None
    return interval.value


def report(states: AskStates, **options: int) -> AskingReport:
    return asking_report(states, **({"splits": 1, "samples": 100} | options))


def planted(rng: np.random.Generator, student: int, one: Graded) -> bool:
    odds = -1.0 + 2.0 * (one.outcome == "runtime") - 2.0 * float(one.grade)
    return bool(rng.random() < 1 / (1 + np.exp(-odds)))


def test_a_planted_rule_is_found_and_calibrated() -> None:
    states = made_states(planted, students=60)
    found = report(states)
    assert found.auc is not None
    assert found.auc.low > 0.6
    assert found.skill is not None
    assert found.skill.low > 0
    assert value(found.ece) < 2.5 * found.ece_if_calibrated
    for one in found.reliability:
        assert one.observed is not None
        assert abs(value(one.predicted) - one.observed.value) < 0.1
    assert sum(one.states for one in found.reliability) == pytest.approx(found.states)
    predicted = [value(one.predicted) for one in found.reliability]
    assert predicted == sorted(predicted)
    policy = fit_asks(states)
    assert policy.weights["runtime"] == pytest.approx(2.0, abs=0.6)
    assert policy.weights["grade"] == pytest.approx(-2.0, abs=0.8)
    ratios = odds_ratios(states, samples=15)
    assert list(ratios) == list(FEATURES)
    runtime = ratios["runtime"]
    assert runtime is not None
    assert runtime.low > 2 < runtime.value == pytest.approx(np.exp(policy.weights["runtime"]))


def test_the_policy_says_what_was_fitted() -> None:
    states = made_states(planted, students=20)
    policy = fit_asks(states)
    attempts = [Attempt("x = 1", 0.25, "runtime"), Attempt("x = 2", 0.0, "compile")]
    row = {
        "compile": 1.0,
        "attempts": 1.0,
        "stuck": 1.0,
        "edit": 0.2,
        "difficulty": policy.difficulties["a"],
    }
    odds = policy.intercept + sum(policy.weights[name] * x for name, x in row.items())
    assert policy.probability("a", attempts) == pytest.approx(1 / (1 + np.exp(-odds)))


def test_noise_is_no_better_than_the_base_rate() -> None:
    found = report(made_states(lambda rng, student, one: bool(rng.random() < 0.3)))
    assert found.auc is not None
    assert found.auc.low < 0.5 < found.auc.high
    assert value(found.skill) < 0.02


def test_a_habit_of_a_student_is_not_learnt_from_herself() -> None:
    # Half of them ask on both assignments, the others on neither: one would tell the other.
    states = made_states(lambda rng, student, one: student % 2 == 0, length=1)
    found = report(states)
    assert 0.3 < value(found.auc) < 0.7


def test_what_tells_surely_has_an_auc_of_one() -> None:
    found = report(made_states(lambda rng, student, one: one.outcome == "compile"))
    assert value(found.auc) == 1
    assert value(found.brier) < 0.05 < value(found.base_rate_brier)


def test_difficulty_is_what_the_others_have_shown() -> None:
    def failed(student: str, assignment: str) -> HintState:
        one = (Graded("x", Fraction(0), "logical"),)
        return HintState(student, assignment, 1, one, (), True, False, False)

    keys = [(student, assignment) for student in "xyz" for assignment in "ab"]
    states = ask_states([failed("x", "a"), failed("y", "a"), failed("z", "b")], (), keys)
    rows = with_difficulty(states, np.array([1.0, 1.0, 0.0]), leave_out_own=True)
    # For x, y alone tells: it failed a, not b. For z, who is held out, x and y do.
    half = 4 * 0.5
    assert rows[:, -1].tolist() == [
        pytest.approx((1 + half) / 5),
        pytest.approx((1 + half) / 5),
        pytest.approx((0 + half) / 6),
    ]


def test_who_is_held_out_does_not_say_how_hard_an_assignment_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[float, ...]] = []

    def spy(states: AskStates, counts: np.ndarray, *, leave_out_own: bool) -> np.ndarray:
        seen.append(tuple(counts))
        return with_difficulty(states, counts, leave_out_own=leave_out_own)

    monkeypatch.setattr(asking, "with_difficulty", spy)
    report(made_states(planted, students=9, length=4), folds=3)
    held = [{student for student, count in enumerate(counts) if count == 0} for counts in seen]
    assert [len(students) for students in held] == [3] * 6
    # Once to fit and once to predict for each fold; every student is held out in one.
    assert held[::2] == held[1::2]
    assert set.union(*held) == set(range(9))


def test_who_is_held_out_does_not_say_how_much_weights_are_shrunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[set[int]] = []

    def spy(rows: np.ndarray, asked: np.ndarray, student: np.ndarray, seed: int) -> float:
        assert len(rows) == len(asked) == len(student)
        seen.append(set(student.tolist()))
        return strength_of(rows, asked, student, seed)

    monkeypatch.setattr(asking, "strength_of", spy)
    report(made_states(planted, students=9, length=4), folds=3)
    held = [set(range(9)) - students for students in seen]
    assert [len(students) for students in held] == [3, 3, 3]
    assert set.union(*held) == set(range(9))


def test_a_fitted_student_does_not_say_how_hard_her_assignment_is() -> None:
    """As of whom it is used for nobody knows it either."""
    failed = np.random.default_rng(0).random((9, 2)) < 0.5
    states = replace(made_states(planted, students=9, length=4), failed=failed)
    fitted = {}
    for leave_out_own in (True, False):
        rows = with_difficulty(states, np.ones(9), leave_out_own=leave_out_own)
        with one_thread():
            strength = strength_of(rows, states.asked, states.student, 0)
            _, weights = fit_logistic(rows, states.asked, np.ones(len(rows)), strength)
        fitted[leave_out_own] = weights.tolist()
    assert list(fit_asks(states).weights.values()) == fitted[True] != fitted[False]


def test_asking_elsewhere_is_known_once_the_minute_is_over() -> None:
    one = (Graded("x", Fraction(0), "logical"),)
    minutes = [START + timedelta(minutes=i) for i in range(3)]
    states = [
        HintState("x", assignment, 1, one, (), True, False, False, at=at)
        for assignment, at in (("b", minutes[0]), ("b", minutes[1]), ("b", minutes[2]), ("a", None))
    ]
    requests = [HintRequest("x", "a", 0, "", minutes[1]), HintRequest("x", "b", 0, "", minutes[0])]
    found = ask_states(states, requests, [("x", "a"), ("x", "b")])
    column = list(FEATURES).index("asked_elsewhere")
    assert found.rows[:, column].tolist() == [0, 0, 1, 0]


def test_the_same_seed_gives_the_same_report() -> None:
    states = made_states(planted, students=12, length=4)
    found = report(states, folds=3)
    assert report(states, folds=3) == found
    assert report(states, folds=3, seed=1) != found


def test_too_little_is_said() -> None:
    nobody = made_states(lambda rng, student, one: False, students=8)
    for function in (asking_report, fit_asks, odds_ratios):
        with pytest.raises(TooFewError, match="nothing to tell apart"):
            function(nobody)
    some = made_states(planted, students=3)
    with pytest.raises(TooFewError, match="only 3 have states"):
        asking_report(some)
    with pytest.raises(UsageError, match="at least 2 folds"):
        asking_report(some, folds=1)
    one_asks = made_states(lambda rng, student, one: student == 0, students=8)
    with pytest.raises(TooFewError, match="in one fold"):
        asking_report(one_asks)
