"""The sentences of a report's head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from novicegym.eval.bootstrap import Difference, Interval
from novicegym.eval.report.collect import PAIRED, PairedRow
from novicegym.eval.report.summary import summarize_report


def rows(policy: str, covered: float, imputed: float, p: float = 0.01) -> list[PairedRow]:
    """All metrics of a policy differ so much from the baseline's."""
    found = []
    for view, metric in PAIRED:
        value = covered if view == "covered" else imputed
        difference = Difference(Interval(value, value - 0.1, value + 0.1), p)
        found.append(PairedRow(policy, view, metric, difference, p))
    return found


def test_only_what_holds_in_both_views_and_surely_is_said(made: Any) -> None:
    paired = [
        *rows("better", 0.2, 0.2),
        *rows("worse", -0.2, -0.2),
        *rows("depends", 0.2, -0.2),
        *rows("unsure", 0.2, 0.2, p=0.05),
    ]
    closer, less, *_ = summarize_report(replace(made.report, paired=tuple(paired)))
    assert closer.endswith(
        "however gaps count: better in coverage, grade proximity and CodeBLEU; depends in coverage."
    )
    assert less.endswith("however gaps count: worse in coverage, grade proximity and CodeBLEU.")


def test_nobody_is_said_to_be_nobody(made: Any) -> None:
    closer, less, *_ = summarize_report(replace(made.report, paired=()))
    assert closer == (
        "Closer to the students than persistence, sure at 5 % over all comparisons and however "
        "gaps count: no policy in any metric."
    )
    assert less.endswith("no policy in any metric.")


def test_realism_names_the_most_alike_first_and_who_is_not_told_for_sure(made: Any) -> None:
    def test(one: Any, auc: Interval) -> Any:
        turing = replace(one.realism.turing, auc=auc)
        return replace(one, realism=replace(one.realism, turing=turing))

    students, *others = made.report.policies
    assert students.is_students
    values = [Interval(0.9, 0.8, 1.0), Interval(0.55, 0.45, 0.7), Interval(0.7, 0.6, 0.8)]
    tested = [test(one, auc) for one, auc in zip(others, values, strict=True)]
    said = summarize_report(replace(made.report, policies=(students, *tested)))[-1]
    names = [one.name for one in others]
    assert f"{names[1]} 0.55 [0.45, 0.70], {names[2]} 0.70 [0.60, 0.80], {names[0]} 0.90" in said
    assert f"; by its own 95 % interval not told: {names[1]}; few students teach" in said
    told = summarize_report(replace(made.report, policies=(students, *tested[::2])))[-1]
    assert told.endswith("not told: none.")


def test_who_could_not_be_tested_is_named(made: Any) -> None:
    students, first, second, *_ = made.report.policies
    untested = replace(second, realism=replace(second.realism, turing=None))
    said = summarize_report(replace(made.report, policies=(students, first, untested)))[-1]
    assert said.endswith(f"; too few transitions to test: {second.name}.")
    only = replace(made.report, baseline=None, policies=(untested,))
    assert summarize_report(only) == ()
