"""The main table for programs (CSV) and for papers (LaTeX).

Values are rounded in LaTeX alone. The best of a column is the largest value among the policies
that are not the students themselves; what prints the same is best, too. A mark says nothing about
significance, which the paired differences do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from novicegym.eval.bootstrap import STATISTICS, Interval
from novicegym.eval.report.collect import PolicyResults, Report

SHOWN = (
    *("coverage", "grade_proximity", "codebleu", "codebleu_corrected"),
    *("coverage_degradation", "grade_proximity_degradation", "codebleu_degradation"),
)
"""The columns of the main table, as `novicegym table` has them."""

_SIGNED = ("degradation", "difference")

HEADINGS = ("Cov", "GP", "CB", "CB*", "ΔCov", "ΔGP", "ΔCB")


def shown(value: float | None, name: str = "", digits: int = 3) -> str:
    """Return a value as printed: a degradation or a difference with its sign, no zero with one."""
    if value is None:
        return "-"
    sign = "+" if name.endswith(_SIGNED) else "-"
    text = f"{value:{sign}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def shown_p(value: float) -> str:
    """Return a p value as printed; draws say no more of a small one."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def best(report: Report, name: str) -> str | None:
    """Return how the best value of a column is printed; None where nobody has one."""
    values = [one.support.covered[name] for one in report.simulated]
    there = [value.value for value in values if value is not None]
    # With nobody to be better than there is no best.
    return shown(max(there), name) if len(values) > 1 and there else None


def is_best(report: Report, policy: PolicyResults, name: str) -> bool:
    """Return whether a policy's value is marked as the best of its column."""
    value = policy.support.covered[name]
    return (
        not policy.is_students
        # A degradation is over who is left at each step: the highest is no merit.
        and not name.endswith("degradation")
        and value is not None
        and shown(value.value, name) == best(report, name)
    )


def to_csv(report: Report) -> str:
    """Return one line a policy, in full precision, an empty field where there is no value.

    Each statistic with the ends of its interval, on the steps the policy covers, on those that
    all policies cover, and with gaps counted as 0; then the machine Turing test, and the shares of
    rollouts to the end of the log that are not solved by then, as in `novicegym.eval.abandonment`.
    """
    views = ("covered", "common", "imputed")
    statistics = [(view, name) for view in views for name in STATISTICS]
    columns = [name if view == "covered" else f"{view}_{name}" for view, name in statistics]
    columns += ["turing_auc", "unsolved_at_stop_students", "unsolved_at_stop_policy"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("course", "synthetic", "protocol", "policy", "seeds", "episodes", "steps")
    writer.writerow((*about, *(f"{c}{end}" for c in columns for end in ("", "_low", "_high"))))
    for one in report.policies:
        values = [getattr(one.support, view)[name] for view, name in statistics]
        values += _realism(one)
        writer.writerow(
            (
                *(report.course, report.synthetic, report.protocol, one.name),
                " ".join(map(str, one.seeds)),
                *(report.episodes, report.steps),
                *(cell for value in values for cell in _ends(value)),
            )
        )
    return text.getvalue()


def to_latex(report: Report) -> str:
    """Return a table environment for the booktabs package: values, intervals under them."""
    headings = ("Cov", "GP", "CB", "CB$^*$", *(rf"$\Delta${name}" for name in ("Cov", "GP", "CB")))
    synthetic = " The course's students are synthetic." if report.synthetic else ""
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{l{'r' * len(SHOWN)}}}",
        r"\toprule",
        rf"Policy & {' & '.join(headings)} \\",
        r"\midrule",
    ]
    for one in report.policies:
        values = [one.support.covered[name] for name in SHOWN]
        cells = []
        for name, value in zip(SHOWN, values, strict=True):
            text = _signed(shown(None if value is None else value.value, name))
            cells.append(rf"\textbf{{{text}}}" if is_best(report, one, name) else text)
        lines.append(rf"{_latex(one.name)} & {' & '.join(cells)} \\")
        lines.append(rf" & {' & '.join(map(_small, SHOWN, values))} \\")
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{Course {_latex(report.course)}, protocol {_latex(report.protocol)}, "
        f"{report.episodes} episodes of {report.students} students: coverage micro, the others "
        r"macro over the steps $k$, $\Delta$ the mean over $k>1$ of $m_k-m_1$, CB$^*$ the "
        "corrected CodeBLEU. In brackets 95\\,\\% intervals by student; bold is the highest of a "
        rf"column, the students apart.{synthetic}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _realism(one: PolicyResults) -> Sequence[Interval | None]:
    if one.realism is None:
        return (None, None, None)
    left = one.realism.abandonment
    auc = None if one.realism.turing is None else one.realism.turing.auc
    return (auc, left.logged, left.simulated)


def _ends(value: Interval | None) -> tuple[float | str, ...]:
    return ("", "", "") if value is None else (value.value, value.low, value.high)


def _small(name: str, value: Interval | None) -> str:
    if value is None:
        return ""
    return (
        rf"{{\scriptsize [{_signed(shown(value.low, name))}, {_signed(shown(value.high, name))}]}}"
    )


def _signed(text: str) -> str:
    return f"${text}$" if text[:1] in "+-" and len(text) > 1 else text


_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
} | {char: f"\\{char}" for char in "&%$#_{}"}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)
