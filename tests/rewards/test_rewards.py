"""Rewards: the tiers, the published preset, the dense terms and their composition."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.courses.syntax import compiles
from novicegym.errors import UsageError
from novicegym.grading.verdict import OUTCOMES, Outcome, Verdict
from novicegym.rewards.base import Transition, make_reward
from novicegym.rewards.dense import GradeProximity
from novicegym.rewards.tiered import PublishedReward, TieredReward


def judged(code: str, grade: Fraction | int = 0, outcome: Outcome | None = None) -> Verdict:
    if outcome is None:
        outcome = "logical" if compiles(code) else "compile"
    return Verdict(Fraction(grade), outcome)


def transition(
    code: str,
    target: str | None,
    grade: Fraction | int = 0,
    target_grade: Fraction | int = 0,
    *,
    completion: str | None = None,
    tokens: int | None = None,
) -> Transition:
    return Transition(
        code=code,
        verdict=judged(code, grade),
        target_code=target,
        target_verdict=None if target is None else judged(target, target_grade),
        previous_code=None,
        completion=f"```python\n{code}\n```" if completion is None else completion,
        completion_tokens=tokens,
    )


THIRD = Fraction(1, 3)


@pytest.mark.parametrize(
    ("code", "target", "grade", "target_grade", "value"),
    [
        ("x = 1  # mine", "x = (1)", 0, 1, 2.0),  # the same tree, whatever the grades
        ("x = 1", "y = 1", THIRD, THIRD, 1.0),
        ("x = 1", "y = 1", THIRD, Fraction(33, 100), 0.0),  # never truncated
        ("x = = 1", "y = 1", 0, 0, -1.0),  # sharing a grade of 0 is no excuse
        ("x = = 1", "x = = 1\n", 0, 0, 2.0),
        ("x = '\ud800'", "x = '\ud800' ", 0, 0, 2.0),  # text that UTF-8 cannot hold
        ("x = 1", "y = 1", 0, 1, 0.0),
    ],
)
def test_tiered(
    code: str, target: str, grade: Fraction, target_grade: Fraction, value: float
) -> None:
    assert make_reward("tiered")(transition(code, target, grade, target_grade)) == value


def test_free_play_earns_only_the_penalty() -> None:
    reward = make_reward("tiered")
    assert reward(transition("x = 1", None, 1)) == 0.0
    assert reward(transition("x = = 1", None)) == -1.0
    for name in ("grade_proximity", "codebleu"):
        assert make_reward(name)(transition("x = 1", None, 1)) == 0.0


@pytest.mark.parametrize(
    ("kind", "renamed_local", "renamed_builtin"),
    [("exact", 0.0, 0.0), ("alpha", 2.0, 0.0), ("renamed", 2.0, 2.0)],
)
def test_the_kind_of_ast_match_is_selectable(
    kind: str, renamed_local: float, renamed_builtin: float
) -> None:
    reward = make_reward(f"tiered:{kind}")
    local = transition("def f(x): return len(x)", "def f(y): return len(y)", 0, 1)
    builtin = transition("def f(x): return len(x)", "def f(x): return sum(x)", 0, 1)
    assert (reward(local), reward(builtin)) == (renamed_local, renamed_builtin)


def _published_cases() -> list[dict[str, object]]:
    path = Path(__file__).parents[2].parent / "shared" / "golden" / "published_reward.json"
    if not path.exists():
        return []
    golden = json.loads(path.read_text(encoding="utf-8"))
    code, length = golden["student_code"], golden["max_completion_length"]
    return [case | {"student_code": code, "length": length} for case in golden["cases"]]


PUBLISHED = _published_cases()


@pytest.mark.skipif(not PUBLISHED, reason="the golden values are not beside the checkout")
@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case["name"])
def test_published_preset_reproduces_the_published_values(case: Mapping[str, str | int]) -> None:
    completion = str(case["completion"])
    # The published check grades a program by the number written in it: "# G=60". Only its
    # first block is graded, and a grader that raises ("# RAISE") gives nothing.
    block = re.search(r"```python(.*?)```", completion, re.DOTALL | re.IGNORECASE)
    code = block.group(1).strip() if block else completion
    written = re.search(r"# G=(\d+)", code)
    case_of = transition(
        code,
        str(case["student_code"]),
        Fraction(int(written.group(1)) if written else 0, 100),
        Fraction(int(case["student_grade"]), 100),
        completion=completion,
        tokens=int(case["n_tokens"]),
    )
    reward = PublishedReward(int(case["length"]))
    assert reward(case_of) == pytest.approx(case["reward"], abs=1e-9)


def test_published_truncates_our_grade_but_not_the_students() -> None:
    two_thirds = Fraction(2, 3)
    assert make_reward("published")(transition("x = 1", "y = 2 + 3", two_thirds, two_thirds)) == 0.0
    assert make_reward("tiered")(transition("x = 1", "y = 2 + 3", two_thirds, two_thirds)) == 1.0


def test_published_without_token_counts_has_no_length_term() -> None:
    assert make_reward("published")(transition("x = 1\0", "y = 1")) == -0.5
    assert make_reward("published")(transition("x = 1", "y = 1", tokens=10**6)) == 1.5


def test_grade_proximity_is_one_minus_the_difference() -> None:
    assert GradeProximity()(transition("x", "y", Fraction(1, 4), 1)) == 0.25


def test_codebleu_is_that_of_the_students_program() -> None:
    code = "def f(x):\n    y = x + 1\n    return y"
    assert make_reward("codebleu")(transition(code, code)) == 1.0
    assert make_reward("codebleu")(transition("pass", code)) < 0.5


def test_weights_compose() -> None:
    reward = make_reward({"tiered": 1.0, "codebleu": 0.5, "grade_proximity": -2})
    code = "def f(x):\n    y = x + 1\n    return y"
    assert reward(transition(code, code, 1, 1)) == 2.0 + 0.5 - 2.0
    assert reward.range == (-3.0, 2.5)
    assert reward.name == "1 tiered + 0.5 codebleu + -2 grade_proximity"


SPECS: list[str | dict[str, float]] = [
    "tiered",
    "tiered:alpha",
    "tiered:renamed",
    "published",
    "published:2048",
    "grade_proximity",
    "codebleu",
    {"tiered:alpha": 1.0, "codebleu": 0.5},
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_reward_survives_its_spec_as_json_and_pickling(spec: str | dict[str, float]) -> None:
    reward = make_reward(spec)
    assert reward.spec == spec
    assert make_reward(json.loads(json.dumps(reward.spec))) == reward
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert make_reward(reward) is reward


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tierd", "unknown reward 'tierd'. Did you mean 'tiered'"),
        ("tiered:alhpa", "Did you mean 'alpha'"),
        ("tiered:", "unknown kind of AST match ''"),
        ("published:x", "longest completion in tokens, at least 12, got 'x'"),
        ("published:5", "got '5'"),
        ("codebleu:2", "takes no argument, got '2'"),
        ({}, "at least one part"),
        ({"tiered": float("nan")}, "must be finite, got nan"),
        ({"tiered": True}, "must be a number, got True"),
        ({"tiered": 1.0, "tiered:exact": 1.0}, "named twice"),
        ({"codeblue": 1.0}, "Did you mean 'codebleu'"),
        (3, "a name, an object of names and weights, or a Reward, got 3"),
    ],
    ids=str,
)
def test_a_wrong_spec_is_a_usage_error(spec: str | dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        make_reward(spec)


GRADES = st.fractions(0, 1, max_denominator=20)
CODES = st.text(max_size=30) | st.sampled_from(["x = 1", "x = = 1", "def f(a): return a", ""])


@given(
    CODES, CODES, GRADES, GRADES, st.sampled_from(OUTCOMES), st.text(), st.none() | st.integers(0)
)
def test_every_value_is_in_its_range(
    code: str,
    target: str,
    grade: Fraction,
    target_grade: Fraction,
    outcome: Outcome,
    completion: str,
    tokens: int | None,
) -> None:
    moment = Transition(
        code=code,
        verdict=Verdict(grade, outcome),
        target_code=target,
        target_verdict=Verdict(target_grade, outcome),
        previous_code=None,
        completion=completion,
        completion_tokens=tokens,
    )
    for spec in SPECS:
        reward = make_reward(spec)
        low, high = reward.range
        assert low <= reward(moment) <= high


@given(GRADES, GRADES)
def test_proximity_is_symmetric_and_one_only_for_equal_grades(a: Fraction, b: Fraction) -> None:
    near = GradeProximity()(transition("x", "y", a, b))
    assert near == GradeProximity()(transition("x", "y", b, a))
    assert (near == 1.0) is (a == b)


def test_the_default_is_the_papers() -> None:
    assert make_reward("tiered") == TieredReward("exact")
