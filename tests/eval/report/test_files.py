"""The tables, the figures and the page as files."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree

import pytest

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import STATISTICS, Interval, student_intervals
from novicegym.eval.metrics import score_steps
from novicegym.eval.report.collect import COMPARED, Report
from novicegym.eval.report.figures import pictures
from novicegym.eval.report.page import render_page
from novicegym.eval.report.tables import SHOWN, is_best, shown, to_csv, to_latex
from novicegym.eval.report.write import require_packages
from novicegym.eval.samples import sampled_scores

WriteRun: TypeAlias = Callable[..., Path]

EVIL = "a$b_{x}^<i>"
VOID = {"meta", "link", "br", "img", "input"}


@dataclass
class Cell:
    """One cell of a table."""

    best: bool
    text: str = ""


class Document(HTMLParser):
    """The elements of a page; fails where they do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.tables: list[list[list[Cell]]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append(Cell(("class", "best") in attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1].text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(made: Any) -> str:
    text: str = made.page.read_text("utf-8")
    return text


@pytest.fixture(scope="module")
def document(page: str) -> Document:
    return Document(page)


def test_what_is_not_installed_is_told_before_anything_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UsageError, match=r"not installed \(jinja2\): pip install 'novicegym\[eval"):
        require_packages()


def test_the_files_are_there_and_nothing_else(made: Any) -> None:
    names = {str(path.relative_to(made.out)) for path in made.out.rglob("*") if path.is_file()}
    policies = (
        "policy1-persistence",
        "policy2-mine-make",
        "policy3-evil-img-src-x-onerror-console-error-2",
    )
    figures = ("figure1", "figure2", "turing_test", *policies)
    assert names == {"report.html", "table.csv", "table.tex"} | {
        f"figures/{name}.{kind}" for name in figures for kind in ("svg", "png")
    }


def test_csv_holds_every_statistic_with_its_interval_in_full_precision(made: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(made.report))))
    assert [row["policy"] for row in rows] == [one.name for one in made.report.policies]
    for row, one in zip(rows, made.report.policies, strict=True):
        for view in ("covered", "common", "imputed"):
            for name in STATISTICS:
                value = getattr(one.support, view)[name]
                column = name if view == "covered" else f"{view}_{name}"
                cells = [row[f"{column}{end}"] for end in ("", "_low", "_high")]
                expected = (
                    ["", "", ""]
                    if value is None
                    else [repr(value.value), repr(value.low), repr(value.high)]
                )
                assert cells == expected
    assert rows[2]["seeds"] == "0 1"
    assert rows[0]["turing_auc"] == ""


def test_the_best_of_a_column_is_the_highest_of_the_policies(made: Any) -> None:
    report = made.report
    values = [one.support.covered["coverage"].value for one in report.simulated]
    marked = [is_best(report, one, "coverage") for one in report.policies]
    assert marked == [False, *(value == max(values) for value in values)]


def test_what_prints_the_same_is_best_too(made: Any) -> None:
    def with_coverage(one: Any, value: float) -> Any:
        covered = one.support.covered | {"coverage": Interval(value, 0, 1)}
        return replace(one, support=replace(one.support, covered=covered))

    a, b, c = made.report.simulated
    report = replace(
        made.report,
        policies=(with_coverage(a, 0.5001), with_coverage(b, 0.5), with_coverage(c, 0.4)),
    )
    assert [is_best(report, one, "coverage") for one in report.policies] == [True, True, False]
    alone = replace(report, policies=report.policies[:1])
    assert not is_best(alone, alone.policies[0], "coverage")


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (0.12345, "coverage", "0.123"),
        (0.12345, "coverage_degradation", "+0.123"),
        (-0.0001, "coverage_degradation", "0.000"),
        (-0.0001, "coverage", "0.000"),
        (None, "coverage", "-"),
    ],
)
def test_values_are_shown_with_three_decimals(value: float | None, name: str, text: str) -> None:
    assert shown(value, name) == text


def test_latex_escapes_names_marks_the_best_and_says_synthetic(made: Any) -> None:
    latex = to_latex(made.report)
    assert r"evil\$<img src=x onerror=console.error(2)>" in latex
    assert r"\_mine:make" in latex
    assert r"\textbf{" in latex
    assert "students are synthetic" in latex
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in rows} == {7}
    assert "synthetic" not in to_latex(replace(made.report, synthetic=False))


def test_svg_keeps_text_as_text_and_says_synthetic(made: Any) -> None:
    for picture in pictures(made.report):
        root = ElementTree.fromstring(picture.svg)
        texts = " ".join("".join(one.itertext()) for one in root.iter() if one.tag.endswith("text"))
        assert "synthetic" in texts
        assert b"<dc:date>" not in picture.svg
        assert picture.png.startswith(b"\x89PNG")
    figure1 = (made.out / "figures" / "figure1.svg").read_text("utf-8")
    for name in ("evil$&lt;img src=", "persistence", " _mine:make"):
        assert name in figure1


def test_many_policies_make_a_figure_taller_and_no_plot_smaller(made: Any) -> None:
    def heights(report: Report) -> tuple[float, float]:
        figure = next(one for one in pictures(report) if one.name == "figure1").svg
        root = ElementTree.fromstring(figure)
        clip = root.find(".//{*}clipPath/{*}rect")
        assert clip is not None
        return float(root.attrib["viewBox"].split()[3]), float(clip.attrib["height"])

    one = made.report.simulated[0]
    many = tuple(replace(one, name=f"a policy of a long name {number}") for number in range(12))
    few_whole, few_plot = heights(replace(made.report, policies=many[:2]))
    whole, plot = heights(replace(made.report, policies=many))
    assert plot > 0.95 * few_plot
    assert whole > 1.3 * few_whole


def test_what_is_not_told_apart_is_given_away_by_nothing(made: Any) -> None:
    def named(low: float) -> str:
        [policy] = made.report.simulated[:1]
        turing = replace(policy.realism.turing, auc=Interval(0.6, low, 0.7))
        shown = replace(policy, realism=replace(policy.realism, turing=turing))
        tables = Document(render_page(replace(made.report, policies=(shown,)), made.browser)).tables
        [row] = [rows[1] for rows in tables if rows[0][2:3] == [Cell(False, "Given away most by")]]
        return row[2].text

    assert named(0.49) == "nothing sure"
    assert made.report.simulated[0].realism.turing.features[0].name in named(0.51)


def test_the_page_loads_nothing(page: str, document: Document) -> None:
    for tag, attributes in document.elements:
        assert tag not in ("iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), (tag, target)
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_nothing_but_the_pages_own_script_and_style_may_run(document: Document) -> None:
    [csp] = [
        one["content"]
        for one in document.all("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    ]
    assert csp is not None
    assert csp.startswith("default-src 'none'; ")

    def allowed(directive: str, text: str) -> bool:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return f"{directive} 'sha256-{digest}';" in csp

    [data, script] = document.texts["script"]
    [style] = document.texts["style"]
    assert allowed("script-src", script)
    assert allowed("style-src", style)
    assert not allowed("script-src", data)
    assert "unsafe-eval" not in csp
    # An attribute such as onclick would need 'unsafe-inline' for scripts.
    assert "script-src-attr" not in csp
    assert csp.count("unsafe-inline") == csp.count("style-src-attr 'unsafe-inline'") == 1


def test_hostile_texts_are_data_and_no_markup(made: Any, page: str, document: Document) -> None:
    assert len(document.all("script")) == 2
    assert document.all("img") == []
    assert not any(name.startswith("on") for _, one in document.elements for name in one)
    [data, _] = document.texts["script"]
    assert "<" not in data
    assert json.loads(data) == json.loads(json.dumps(made.browser))
    assert "</script><script>" not in page
    assert "evil$&lt;img src=x" in page


def test_a_reader_without_eyes_finds_the_way(document: Document) -> None:
    [html] = document.all("html")
    assert html["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert document.all(landmark)
    ids = Counter(one["id"] for _, one in document.elements if "id" in one)
    assert {name for name, times in ids.items() if times > 1} == set()
    assert all(one.get("scope") in ("row", "col", "colgroup") for one in document.all("th"))
    for _, one in document.elements:
        for pointer in ("aria-labelledby", "for"):
            assert one.get(pointer) is None or one[pointer] in ids
        href = one.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert all(one.get("aria-hidden") == "true" for one in document.all("svg"))
    [status] = [one for _, one in document.elements if one.get("role") == "status"]
    assert status["aria-live"] == "polite"


def test_the_page_says_whether_the_course_is_synthetic(made: Any, page: str) -> None:
    assert "Synthetic course" in page
    real = render_page(replace(made.report, synthetic=False), made.browser)
    _, body = real.split("</head>")
    assert "ynthetic" not in body.split("<script", 1)[0]


def test_the_main_table_says_the_intervals_by_student_and_marks_the_best_policy(
    made: Any, document: Document
) -> None:
    _, *rows = document.tables[0]
    found = [
        student_intervals([score_steps(table) for table in one.tables], samples=50)
        for one in made.policies
    ]
    for one, row, intervals in zip(made.policies, rows, found, strict=True):
        trivial = " (trivial)" if one.name == "persistence" else ""
        assert row[0].text == one.name + trivial
        for name, cell in zip(SHOWN, row[1:-2], strict=True):
            value = intervals[name]
            assert value is not None
            numbers = [float(text) for text in re.findall(r"[-+]?\d\.\d{3}", cell.text)]
            expected = [value.value, value.low, value.high]
            assert numbers == pytest.approx(expected, rel=0, abs=0.000501)
            highest = max(
                other[name].value  # type: ignore[union-attr]
                for policy, other in zip(made.policies, found, strict=True)
                if not policy.is_students
            )
            rated = not one.is_students and not name.endswith("degradation")
            best = rated and round(value.value, 3) == round(highest, 3)
            assert (cell.best, "(best)" in cell.text) == (best, best)


def test_several_runs_of_a_policy_are_shown_together(made: Any, document: Document) -> None:
    [sampled] = [one for one in made.policies if len(one.seeds) > 1]
    runs = [score_steps(table) for table in sampled.tables]
    found = sampled_scores(runs, samples=50)
    [shown] = [table for table in document.tables if "Energy score" in table[0][-1].text]
    [row] = shown[1:]
    assert [row[0].text, row[1].text] == [sampled.name, "2"]
    for place, name in enumerate(COMPARED):
        each = [student_intervals([run], samples=2)[name] for run in runs]
        text = ", ".join(f"{one.value:.3f}" for one in each if one is not None)
        assert row[2 + 2 * place].text.strip() == text
    last = found.distances[-1]
    wanted = [*(found.best.overall[name] for name in COMPARED), last.energy_distance]
    cells = [*row[3:8:2], *row[8:]]
    for value, cell in zip([*wanted, last.energy_score], cells, strict=True):
        assert value is not None
        numbers = [float(text) for text in re.findall(r"-?\d\.\d{3}", cell.text)]
        expected = [value.value, value.low, value.high]
        assert numbers == pytest.approx(expected, rel=0, abs=0.000501)


def test_another_process_writes_the_same_bytes(tmp_path: Path, write_run: WriteRun) -> None:
    """And another order of hashes; by the command line. Few steps spare the Turing test."""
    runs = [write_run(tmp_path / name, name, steps=1) for name in ("persistence", EVIL)]
    outs = []
    for number in ("1", "2"):
        out = tmp_path / f"out{number}"
        (out / "figures").mkdir(parents=True)
        (out / "figures" / "policy9-of-before.png").write_bytes(b"another report's")
        command = [sys.executable, "-m", "novicegym", "report", *map(str, runs)]
        command += ["--out", str(out), "--samples", "20", "--episodes", "5"]
        environment = os.environ | {"PYTHONHASHSEED": number}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        assert "report.html" in done.stdout
        outs.append({p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert outs[0] == outs[1]
    assert len(outs[0]) == 13


def test_the_command_line_tells_what_is_no_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "novicegym", "report", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 2
    assert "is not a run" in done.stderr
    assert not (tmp_path / "report").exists()
