"""The figures of a report, by matplotlib: for files, and again for the page.

A line is told by its dash and its marker, too, not by colour alone. The same report gives the same
bytes: text stays text, fonts are those that come with matplotlib, ids are salted, no dates.

Covered: Figures 1 and 2 of the paper, the machine Turing test, and of each policy its grade curve
and, where it has them, transition matrices and edit sizes. Not covered: the numbers as text, which
the page has beside each figure.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from novicegym.eval.bootstrap import Interval
from novicegym.eval.grade_curve import CurvePoint
from novicegym.eval.report.collect import COMPARED, PolicyResults, RealismPanel, Report
from novicegym.eval.transitions import EDIT_EDGES, Matrix
from novicegym.grading.verdict import OUTCOMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GRID, LOGGED, HEAT, PAPER = "#151515", "#dcdcdc", "#5c5c5c", "#1f6fb5", "#ffffff"
SERIES = ("#0b62a4", "#b34700", "#00745a", "#a3256e", "#6b4fb8", "#7a5c00", "#007089", "#9b1c1c")
"""Colours of the policies, in order and then again; each has 4.5:1 and more on white."""

_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
_MARKERS = "osD^vPX"
"""Fewer by one than the colours: the tenth policy does not look like the second."""

_STYLE: dict[Any, Any] = {
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "text.parse_math": False,  # a policy may be called anything
    "font.family": "DejaVu Sans",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "novicegym",
    "savefig.dpi": 160,
}

NAMES = {
    "coverage": "Coverage",
    "grade_proximity": "Grade proximity",
    "codebleu": "CodeBLEU",
    "codebleu_corrected": "CodeBLEU, corrected",
}

_HEIGHT, _LEGEND_ROW = 3.5, 0.21
"""Of a row of panels, and of each row of its legends beyond two, in inches."""

_Panel: TypeAlias = "Callable[[Axes], None]"


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure as files."""

    name: str
    svg: bytes
    png: bytes


def pictures(report: Report) -> Iterator[Picture]:
    """Yield the figures that are written as files."""
    where = _where(report)
    yield _picture("figure1", _metric_panels(report), f"Metrics over the steps, {where}", 3.4)
    yield _picture("figure2", [lambda axes: _grades(axes, report)], where, 6)
    yield _picture("turing_test", [lambda axes: _aucs(axes, report)], where, 6)
    for number, (policy, panel) in enumerate(_panels(report), start=1):
        title = f"{_label(policy.name)} beside the students, {where}"
        yield _picture(_file(number, policy), _policy_panels(report, policy, panel), title, 4.4)


def page_figures(report: Report) -> dict[str, list[str]]:
    """Return the figures of the page as SVG elements, panel by panel, so that they can flow.

    Their colours are variables of the page's style.
    """
    sets: dict[str, Sequence[_Panel]] = {
        "figure1": _metric_panels(report),
        "figure2": [lambda axes: _grades(axes, report)],
        "turing_test": [lambda axes: _aucs(axes, report)],
    }
    for number, (policy, panel) in enumerate(_panels(report), start=1):
        sets[f"policy{number}"] = _policy_panels(report, policy, panel)
    return {
        name: [
            _for_page(_svg([panel], "", 6.2 if len(panels) == 1 else 4.4), f"{name}-{place}")
            for place, panel in enumerate(panels)
        ]
        for name, panels in sets.items()
    }


def _panels(report: Report) -> list[tuple[PolicyResults, RealismPanel]]:
    return [(one, one.realism) for one in report.simulated if one.realism is not None]


def _file(number: int, policy: PolicyResults) -> str:
    return f"policy{number}-{re.sub('[^a-z0-9]+', '-', policy.name.lower()).strip('-')[:48]}"


def _students(report: Report) -> str:
    return "synthetic students" if report.synthetic else "students"


def _where(report: Report) -> str:
    return f"{report.course} (synthetic students)" if report.synthetic else report.course


def _picture(name: str, panels: Sequence[_Panel], title: str, width: float) -> Picture:
    return Picture(name, _svg(panels, title, width), _png(panels, title, width))


@contextmanager
def _drawn(panels: Sequence[_Panel], title: str, width: float) -> Iterator[Any]:
    import matplotlib
    from matplotlib.figure import Figure

    # Four panels in one row would be too small to read across a page of paper.
    rows = 2 if len(panels) == 4 else 1
    columns = len(panels) // rows
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width * columns, _HEIGHT), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).flat
        for axes, panel in zip(places, panels, strict=True):
            panel(axes)
        # Many policies make a long legend, which shall not be at the cost of the plot.
        more = max(0, max(map(_legend_rows, figure.axes)) - 2)
        figure.set_figheight(rows * (_HEIGHT + more * _LEGEND_ROW))
        if title:
            figure.suptitle(title, fontsize=11)
        yield figure


def _svg(panels: Sequence[_Panel], title: str, width: float) -> bytes:
    sink = io.BytesIO()
    with _drawn(panels, title, width) as figure:
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})
    return sink.getvalue()


def _png(panels: Sequence[_Panel], title: str, width: float) -> bytes:
    sink = io.BytesIO()
    with _drawn(panels, title, width) as figure:
        figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def _for_page(svg: bytes, name: str) -> str:
    """Return the element alone: sized by the page, in its colours, its ids its own."""
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # The element of the page says what the picture is; its parts are no text of the page.
    text = text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    text = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]*)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", text)
    variables = {INK: "ink", GRID: "grid", LOGGED: "logged", HEAT: "heat"}
    variables |= {colour: f"series-{place}" for place, colour in enumerate(SERIES)}
    text = text.replace(f"fill: {PAPER}", "fill: none")
    return re.sub(
        r"#[0-9a-f]{6}\b",
        lambda found: f"var(--{variables[found[0]]})" if found[0] in variables else found[0],
        text,
    )


def _label(name: str) -> str:
    """Return a name short enough for a figure; a leading underscore would hide it there."""
    name = name if len(name) <= 34 else f"{name[:14]}…{name[-19:]}"
    return f" {name}" if name.startswith("_") else name


def _line(
    axes: Axes, xs: Sequence[float], values: Sequence[Interval | None], number: int, **look: Any
) -> Any:
    """Draw a line with its band; return its handle for the legend."""
    there = [(x, value) for x, value in zip(xs, values, strict=True) if value is not None]
    look = {
        "color": SERIES[number % len(SERIES)],
        "linestyle": _DASHES[number % len(_DASHES)],
        "marker": _MARKERS[number % len(_MARKERS)],
    } | look
    places = [x for x, _ in there]
    [line] = axes.plot(places, [value.value for _, value in there], **look)
    low, high = [value.low for _, value in there], [value.high for _, value in there]
    axes.fill_between(places, low, high, color=look["color"], alpha=0.14, linewidth=0)
    return line


def _metric_panels(report: Report) -> list[_Panel]:
    def panel(metric: str) -> _Panel:
        def draw(axes: Axes) -> None:
            handles = [
                _line(axes, list(one.by_step), [at[metric] for at in one.by_step.values()], number)
                for number, one in enumerate(report.simulated)
            ]
            axes.set_title(NAMES[metric])
            axes.set_xlabel("step k")
            axes.set_xticks(sorted({k for one in report.simulated for k in one.by_step}))
            axes.margins(y=0.08)
            _legend(axes, handles, [_label(one.name) for one in report.simulated])

        return draw

    return [panel(metric) for metric in COMPARED]


def _legend(axes: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put the legend under the plot, where it hides no line."""
    columns = _legend_columns(labels)
    axes.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns)


def _legend_columns(labels: Sequence[str]) -> int:
    return 1 if max(map(len, labels)) > 18 else 2


def _legend_rows(axes: Axes) -> int:
    legend = axes.get_legend()
    if legend is None:
        return 0
    labels = [text.get_text() for text in legend.get_texts()]
    return math.ceil(len(labels) / _legend_columns(labels))


def _curve(axes: Axes, points: Sequence[CurvePoint], line: str, number: int, **look: Any) -> Any:
    return _line(
        axes, [p.position for p in points], [getattr(p, line) for p in points], number, **look
    )


_STUDENT_LOOK = {"color": LOGGED, "linestyle": "-", "marker": ""}


def _grades(axes: Axes, report: Report) -> None:
    policies = report.simulated
    handles = [_curve(axes, policies[0].curve, "logged", 0, **_STUDENT_LOOK, linewidth=2.4)]
    handles += [_curve(axes, one.curve, "simulated", number) for number, one in enumerate(policies)]
    _grade_axes(axes, "Grades along the trajectory")
    _legend(axes, handles, [_students(report), *(_label(one.name) for one in policies)])


def _grade_axes(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("normalised position (1 = the student's last submission)")
    axes.set_ylabel("mean grade")
    axes.set_ylim(-0.02, 1.02)


def _aucs(axes: Axes, report: Report) -> None:
    shown = [
        (number, one, one.realism.turing.auc)
        for number, one in enumerate(report.simulated)
        if one.realism is not None and one.realism.turing is not None
    ]
    axes.axvline(0.5, color=LOGGED, linewidth=1.2, linestyle=_DASHES[1])
    for row, (number, _, auc) in enumerate(shown):
        colour = SERIES[number % len(SERIES)]
        axes.plot([auc.low, auc.high], [row, row], color=colour)
        axes.plot([auc.value], [row], color=colour, marker=_MARKERS[number % len(_MARKERS)])
    axes.set_yticks(range(len(shown)), [_label(one.name) for _, one, _ in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(min([0.4, *(auc.low - 0.02 for _, _, auc in shown)]), 1.02)
    axes.grid(visible=False, axis="y")
    axes.set_title("Machine Turing test")
    axes.set_xlabel("AUC (0.5: indistinguishable from students)")


def _policy_panels(report: Report, policy: PolicyResults, panel: RealismPanel) -> list[_Panel]:
    number = report.simulated.index(policy)
    outcomes, students = shown_outcomes(report), _students(report)

    def curve(axes: Axes) -> None:
        handles = [
            _curve(axes, policy.curve, "logged", 0, **_STUDENT_LOOK),
            _curve(axes, policy.curve, "logged_covered", 0, **_STUDENT_LOOK | {"linestyle": ":"}),
            _curve(axes, policy.curve, "simulated", number),
        ]
        _grade_axes(axes, "Grades, and who is left")
        _legend(axes, handles, [students, f"{students} where covered", _label(policy.name)])

    if panel.transitions is None or panel.edits is None:
        return [curve]
    sides = ((panel.edits.logged, LOGGED, -0.2), (panel.edits.simulated, SERIES[number % 8], 0.2))

    def edits(axes: Axes) -> None:
        handles = []
        for side, colour, shift in sides:
            there = [(i + shift, one) for i, one in enumerate(side.shares) if one is not None]
            values = [one.value for _, one in there]
            # A percentile interval need not hold the value itself.
            errors = [
                [max(0.0, one.value - one.low) for _, one in there],
                [max(0.0, one.high - one.value) for _, one in there],
            ]
            look = {"width": 0.38, "color": colour, "alpha": 0.75}
            places = [place for place, _ in there]
            handles.append(axes.bar(places, values, **look))  # type: ignore[arg-type]
            axes.errorbar(places, values, errors, fmt="none", ecolor=INK, elinewidth=0.9)
        axes.set_xticks(range(len(EDIT_EDGES)), edit_classes(), fontsize=8)
        axes.grid(visible=False, axis="x")
        axes.set_title("Size of edits")
        axes.set_xlabel("changed characters, at most")
        axes.set_ylabel("share of submissions")
        _legend(axes, handles, [students, _label(policy.name)])

    def matrix(title: str, cells: Matrix) -> _Panel:
        return lambda axes: _matrix(axes, title, cells, outcomes)

    return [
        curve,
        edits,
        matrix(f"{students.capitalize()}: what follows what", panel.transitions.logged),
        matrix(f"{_label(policy.name)}: what follows what", panel.transitions.simulated),
    ]


def edit_classes() -> list[str]:
    """Return the names of the classes of edit sizes."""
    return ["none", *(f"{100 * edge:g} %" for edge in EDIT_EDGES[1:])]


def shown_outcomes(report: Report) -> tuple[list[int], list[int]]:
    """Return the rows and the columns of the transition matrices that are not empty everywhere."""
    matrices = [
        matrix
        for _, panel in _panels(report)
        if panel.transitions is not None
        for matrix in (panel.transitions.logged, panel.transitions.simulated)
    ]
    numbers = range(len(OUTCOMES))
    rows = [i for i in numbers if any(m[i][0] is not None for m in matrices)]
    columns = [
        j
        for j in numbers
        if any((cell := m[i][j]) is not None and cell.value > 0 for m in matrices for i in rows)
    ]
    return rows, columns


def _matrix(axes: Axes, title: str, cells: Matrix, shown: tuple[list[int], list[int]]) -> None:
    from matplotlib.patches import Rectangle

    rows, columns = shown
    for y, i in enumerate(rows):
        for x, j in enumerate(columns):
            cell = cells[i][j]
            share = 0.0 if cell is None else cell.value
            square = Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, linewidth=0)
            square.set(facecolor=HEAT, alpha=0.05 + 0.55 * share)
            axes.add_patch(square)
            text = "-" if cell is None else f"{cell.value:.2f}"
            axes.text(x, y, text, ha="center", va="center", fontsize=9)
    axes.grid(visible=False)
    axes.set_xticks(range(len(columns)), [OUTCOMES[j] for j in columns])
    axes.set_yticks(range(len(rows)), [OUTCOMES[i] for i in rows])
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title(title)
    axes.set_xlabel("outcome after")
    axes.set_ylabel("outcome before")
