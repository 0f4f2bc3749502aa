"""A report as files: the page, the tables, the figures.

    report.html          everything, with the trajectory browser; needs no other file
    table.csv, table.tex the main table
    figures/             the figures as SVG and PNG

The same runs and options give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from novicegym.errors import UsageError
from novicegym.eval.report.collect import Report
from novicegym.eval.report.figures import pictures
from novicegym.eval.report.page import render_page
from novicegym.eval.report.tables import to_csv, to_latex
from novicegym.runs import write_atomically

_NEEDED = ("codebleu", "jinja2", "matplotlib", "pycodestyle", "rapidfuzz", "sklearn")


def require_packages() -> None:
    """Raise UsageError for what is not installed, before anything is computed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"a report needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'novicegym[eval]'"
        )


def write_report(report: Report, browser: Mapping[str, Any], out: Path) -> Path:
    """Write the files of a report into the folder `out`; return the page's path.

    browser: what `browser_data` gave. Files of the same names are overwritten.
    """
    page = out / "report.html"
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for earlier in figures.glob("policy[0-9]*-*.[sp][vn]g"):
        earlier.unlink()  # of another report: its policies may have been others
    for picture in pictures(report):
        write_atomically(figures / f"{picture.name}.svg", picture.svg)
        write_atomically(figures / f"{picture.name}.png", picture.png)
    write_atomically(out / "table.csv", to_csv(report).encode())
    write_atomically(out / "table.tex", to_latex(report).encode())
    write_atomically(page, render_page(report, browser).encode())
    return page
