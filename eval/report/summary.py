"""What a report comes to, in up to three sentences for its head.

A policy is closer than the baseline in a metric where it is surely higher both on the submissions
that each covers and with gaps counted as 0. What is sure in one of the two alone, or has no value,
the head leaves to the table of differences.
"""

from __future__ import annotations

from collections.abc import Sequence

from novicegym.eval.report.collect import PairedRow, Report

_CAUTION = "few students teach a judge little, and 0.5 of few is no proof"

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
    tested = sorted(
        (
            (one.realism.turing.auc, one.name)
            for one in report.simulated
            if one.realism is not None and one.realism.turing is not None
        ),
        key=lambda one: one[0].value,
    )
    if tested:
        values = [f"{name} {auc.value:.2f} [{auc.low:.2f}, {auc.high:.2f}]" for auc, name in tested]
        hidden = [name for auc, name in tested if auc.low <= 0.5]
        untested = [one.name for one in report.simulated]
        for _, name in tested:
            untested.remove(name)
        said.append(
            "Told from students by a classifier (AUC; 0.5 is indistinguishable, 1 told at sight): "
            + "; ".join(
                [
                    ", ".join(values),
                    f"by its own 95 % interval not told: {_listed(hidden) if hidden else 'none'}",
                    *([_CAUTION] if hidden else []),
                    *([f"too few transitions to test: {_listed(untested)}"] if untested else []),
                ]
            )
            + "."
        )
    return tuple(said)


def _surely(paired: Sequence[PairedRow], sign: int) -> dict[str, list[str]]:
    """Return by policy the metrics in which every view surely differs in this direction."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(row.policy for row in paired):
        for metric, called in _METRICS.items():
            rows = [row for row in paired if (row.policy, row.metric) == (name, metric)]
            if rows and all(row.sure == sign for row in rows):
                found.setdefault(name, []).append(called)
    return found


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
