"""Common support and imputation: coverage can no longer hide in the other metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import STATISTICS
from novicegym.eval.metrics import ScoredStep, summarize
from novicegym.eval.support import common_support, impute, once_each, step_key, support_table


def run_of(*values: float | None, students: int = 2, steps: int = 3) -> list[ScoredStep]:
    """Return a run of rollouts of `steps` steps, the students taking turns; None: uncovered."""
    return [
        ScoredStep(
            student_id=f"s{(index // steps) % students}",
            assignment_id="a",
            position=3 + index // (steps * students),
            step=1 + index % steps,
            has_counterpart=True,
            has_code=value is not None,
            logged_grade=1.0,
            grade=value,
            grade_proximity=value,
            codebleu=value,
            codebleu_corrected=value,
            solved=False,
        )
        for index, value in enumerate(values)
    ]


STEPS = 12
scores = st.lists(st.none() | st.floats(0, 1), min_size=STEPS, max_size=STEPS)


@settings(deadline=None)
@given(scores)
def test_the_common_support_of_a_run_with_itself_is_what_it_covers(
    values: list[float | None],
) -> None:
    run = run_of(*values)
    support = common_support([run, run])
    assert support.runs[0] == support.runs[1] == tuple(one for one in run if one.valid)
    assert support.share == summarize(run).coverage.micro
    cut, whole = summarize(support.runs[0]), summarize(run)
    assert cut.grade_proximity.micro == whole.grade_proximity.micro
    assert cut.codebleu.macro == whole.codebleu.macro


@settings(deadline=None)
@given(st.lists(scores, min_size=2, max_size=4))
def test_every_run_is_cut_to_the_steps_that_all_cover(values: list[list[float | None]]) -> None:
    runs = [run_of(*one) for one in values]
    support = common_support(runs)
    wanted = {
        step_key(steps[0])
        for steps in zip(*runs, strict=True)
        if all(one.has_code for one in steps)
    }
    for cut, run in zip(support.runs, runs, strict=True):
        assert {step_key(one) for one in cut} == wanted
        assert set(map(step_key, cut)) <= set(map(step_key, run))
        assert all(one in run for one in cut)
    assert support.share == len(wanted) / STEPS
    assert [one.counterparts for one in support.steps] == [4, 4, 4]


@settings(deadline=None)
@given(scores)
def test_imputing_never_raises_a_metric_and_leaves_coverage(values: list[float | None]) -> None:
    run = run_of(*values)
    before, after = summarize(run), summarize(impute(run))
    assert after.coverage == before.coverage
    for old, new in zip(before.steps, after.steps, strict=True):
        assert old.coverage is not None
        proximity = old.grade_proximity or 0.0
        assert new.grade_proximity == pytest.approx(old.coverage * proximity)
        assert new.codebleu == pytest.approx(old.coverage * (old.codebleu or 0.0))
    for name in ("grade_proximity", "codebleu", "codebleu_corrected"):
        old, new = getattr(before, name), getattr(after, name)
        assert old.micro is None or new.micro <= old.micro + 1e-12
        assert old.macro is None or new.macro <= old.macro + 1e-12


def test_what_the_student_did_not_do_is_not_imputed() -> None:
    [none, covered] = run_of(None, 0.5, steps=1)
    none = replace(none, has_counterpart=False)
    assert impute([none, covered]) == [none, covered]


def test_without_codebleu_none_is_imputed() -> None:
    [one] = impute(run_of(None), with_codebleu=False)
    assert (one.grade_proximity, one.codebleu, one.codebleu_corrected) == (0, None, None)


def test_a_policy_that_answers_only_what_is_easy_leads_its_own_steps_and_no_other_view() -> None:
    """Half the steps are hard: the plain one tries them all, the picky one leaves those out."""
    plain = run_of(*[0.9, 0.3] * 6, steps=2)
    picky = run_of(*[0.8, None] * 6, steps=2)
    table = support_table({"plain": [plain], "picky": [picky]}, samples=50)

    def values(view: str) -> tuple[float, float]:
        found = [getattr(table.rows[name], view)["grade_proximity"] for name in ("plain", "picky")]
        assert all(found)
        return found[0].value, found[1].value

    assert values("covered") == pytest.approx((0.6, 0.8))
    assert values("common") == pytest.approx((0.9, 0.8))
    assert values("imputed") == pytest.approx((0.6, 0.4))
    assert table.support.share == 0.5
    assert [(one.step, one.common) for one in table.support.steps] == [(1, 6), (2, 0)]


def test_all_seeds_of_all_policies_decide_what_is_common() -> None:
    whole, gaps = run_of(*[0.5] * 6), run_of(0.5, None, *[0.5] * 4)
    table = support_table({"a": [whole, gaps], "b": [whole]}, samples=10)
    assert [len(run) for run in table.support.runs] == [5, 5, 5]
    coverage = table.rows["a"].imputed["coverage"]
    assert coverage is not None
    assert coverage.value == pytest.approx(11 / 12)


def test_nothing_in_common_is_no_value() -> None:
    table = support_table({"a": [run_of(0.5, None)], "b": [run_of(None, 0.5)]}, samples=10)
    assert table.support.share == 0
    assert table.rows["a"].common == dict.fromkeys(STATISTICS)


def test_runs_that_cannot_be_compared_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="do not start from the same"):
        common_support([run_of(0.5, 0.5), run_of(0.5)])
    with pytest.raises(UsageError, match="at least one run"):
        common_support([])
    with pytest.raises(UsageError, match="policy 'b' has no run"):
        support_table({"a": [run_of(0.5)], "b": []})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abc")))
def test_each_target_weighs_one(targets: list[str]) -> None:
    weights = once_each(targets)
    for target in set(targets):
        own = [w for w, name in zip(weights, targets, strict=True) if name == target]
        assert sum(own) == pytest.approx(1)
        assert len(set(own)) == 1
