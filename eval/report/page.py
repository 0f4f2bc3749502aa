"""Reports as HTML pages, each a single file that loads nothing from anywhere.

What students, models and courses wrote is hostile: the template escapes all of it, and the
programs of the trajectory browser are JSON in a data block, which the page's one script puts into
the document as text only. A Content-Security-Policy lets that script and that style sheet run, by
their hashes, and nothing else. Attributes may hold style, which the figures need.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from novicegym.eval.report.collect import COMPARED, Report
from novicegym.eval.report.figures import NAMES, edit_classes, page_figures, shown_outcomes
from novicegym.eval.report.summary import summarize_report
from novicegym.eval.report.tables import HEADINGS, SHOWN, is_best, shown, shown_p
from novicegym.eval.submission_features import FEATURES
from novicegym.grading.verdict import OUTCOMES

TELLS = 10
"""Features of the machine Turing test that are shown."""


def render_page(report: Report, browser: Mapping[str, Any]) -> str:
    """Return the page. browser: what `browser_data` gave. The same input gives the same text."""
    from markupsafe import Markup

    figures = {
        name: [Markup(panel) for panel in panels] for name, panels in page_figures(report).items()
    }
    rows, columns = shown_outcomes(report)
    return render_template(
        "template.html",
        script="browser.js",
        report=report,
        summary=summarize_report(report),
        browser=browser,
        figures=figures,
        main_columns=list(zip(SHOWN, HEADINGS, strict=True)),
        is_best=is_best,
        compared=COMPARED,
        names=NAMES,
        outcomes=OUTCOMES,
        outcome_rows=rows,
        outcome_columns=columns,
        edit_classes=edit_classes(),
        tells=TELLS,
        features=len(FEATURES),
    )


def render_template(
    name: str, *, styles: Sequence[str] = ("style.css",), script: str | None = None, **values: Any
) -> str:
    """Return the page of a template of this folder, which gets `style`, `script` and `policy`.

    styles: files, put together into one style sheet. script: a file; None for a page without one.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.DictLoader({one: _source(one) for one in (name, "macros.html")}),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Its filter `tojson` escapes <, > and &: no text can end the element that holds it.
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    environment.filters |= {"shown": shown, "p": shown_p}
    style = "".join(map(_source, styles))
    code = "" if script is None else _source(script)
    return environment.get_template(name).render(
        style=Markup(style), script=Markup(code), policy=_policy(style, code), **values
    )


def _source(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy under which the page runs."""

    def hashed(source: str) -> str:
        digest = hashlib.sha256(source.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return "; ".join(
        (
            "default-src 'none'",
            *([f"script-src {hashed(script)}"] if script else []),
            f"style-src {hashed(style)}",
            "style-src-attr 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
