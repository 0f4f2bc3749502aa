"""What a report comes to, in three sentences for its head.

A policy is closer than the baseline in a metric where it is surely higher both on the submissions
that each covers and with gaps counted as 0; on one of the two alone it depends on how gaps count.
"""

from __future__ import annotations

from collections.abc import Sequence

from novicegym.eval.report.collect import PairedRow, Report

SURE = 0.05
"""Adjusted p values below it are differences."""

_METRICS = {
    "coverage": "coverage",
    "grade_proximity": "grade proximity",
    "codebleu": "CodeBLEU",
}


def summarize_report(report: Report) -> tuple[str, ...]:
    """Return who is closer to the students than the baseline, who less, and who looks real."""
    said = []
    if report.baseline is not None:
        for word, sign in (("Closer", 1), ("Less close", -1)):
            found = _surely(report.paired, sign)
            what = "; ".join(f"{name} in {_listed(metrics)}" for name, metrics in found.items())
            said.append(
                f"{word} to the students than {report.baseline}, sure at 5 % over all comparisons "
                f"and however gaps count: {what or 'no policy in any metric'}."
            )
    tested = [
        (one.realism.turing.auc, one.name)
        for one in report.simulated
        if one.realism is not None and one.realism.turing is not None
    ]
    if tested:
        tested.sort(key=lambda one: one[0].value)
        hidden = [name for auc, name in tested if auc.low <= 0.5]
        values = ", ".join(f"{name} {auc.value:.2f}" for auc, name in tested)
        said.append(
            "Told from students by a classifier (AUC; 0.5 is indistinguishable, 1 told at sight): "
            f"{values}"
            + (f"; not told for sure: {_listed(hidden)}." if hidden else "; all are told apart.")
        )
    return tuple(said)


def _surely(paired: Sequence[PairedRow], sign: int) -> dict[str, list[str]]:
    """Return by policy the metrics in which every view surely differs in this direction."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(row.policy for row in paired):
        for metric, called in _METRICS.items():
            rows = [row for row in paired if (row.policy, row.metric) == (name, metric)]
            if rows and all(_differs(row) == sign for row in rows):
                found.setdefault(name, []).append(called)
    return found


def _differs(row: PairedRow) -> int:
    """Return 1 for a policy surely above the baseline, -1 for one below, 0 for neither."""
    if row.difference is None or row.adjusted_p is None or row.adjusted_p >= SURE:
        return 0
    return 1 if row.difference.interval.value > 0 else -1


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
