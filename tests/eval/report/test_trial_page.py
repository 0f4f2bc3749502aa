"""The page of a trial: dialogues chosen and shown as they are, whatever is in them."""

from __future__ import annotations

import base64
import hashlib
import re
import runpy
import time
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from novicegym.courses.model import Assignment, Course
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.eval.power import power_curve
from novicegym.eval.report.trial import (
    About,
    choose_dialogues,
    dialogues,
    render_trial,
    write_trial,
)
from novicegym.eval.trial import compare_arms, outcome_values, student_sums
from novicegym.eval.trial_episodes import Turn, TutoredEpisode
from novicegym.grading.grader import Grader
from novicegym.grading.verdict import Verdict

# Files of tests are not importable by name. Texts without enough contrast, as in every report.
_FAINT = runpy.run_path(str(Path(__file__).parent / "test_in_chromium.py"))["_FAINT"]

HOSTILE = "</pre></script><script>console.error('out')</script><img src=x onerror=console.error(1)>"
EVIL_ARM = "evil<b>&'\""
WRONG, RIGHT = "def f(x):\n    return x\n", "def f(x):\n    return 2 * x\n"
ODD = f"def f(x):\n    # {HOSTILE}\n\n    return x + 0\n"


def _episode(number: int, *turns: Turn, grader: Grader) -> TutoredEpisode:
    verdict = grader.grade(ASSIGNMENT, WRONG)
    key = (f"s{number}<i>", ASSIGNMENT.id, 1)
    return TutoredEpisode(key, ((WRONG, verdict),), turns, horizon=3)


ASSIGNMENT = Assignment(
    id="twice<script>",
    title=f"Twice {HOSTILE}",
    prompt=f"Write f(x).\n{HOSTILE}",
    tests=TestSuite(cases=(CallCase("f(1)", 2), CallCase("f(0)", 0))),
    entry_point="f",
)
COURSE = Course("made<b>", {ASSIGNMENT.id: ASSIGNMENT}, synthetic=True)

STILL = Turn("", "", 0.0, WRONG, Fraction(1, 2), "logical")
SAID = Turn(HOSTILE, "", 0.25, ODD, Fraction(1, 2), "logical")
DEAD = Turn("", f"ConnectionError: {HOSTILE}", 0.0, WRONG, Fraction(1, 2), "logical")
DONE = Turn("line 2", "", 0.0, RIGHT, Fraction(1), "correct")
LEFT = Turn("", "", 0.0, f"exit() {HOSTILE}", None, "exit")


@pytest.fixture(scope="module")
def arms(grader: Grader) -> dict[str, list[TutoredEpisode]]:
    """Six students: the tutor helps s1 and s4, and s2 is worse off with it."""
    control = [
        _episode(n, *([STILL, DONE] if n == 2 else [STILL] * 3), grader=grader) for n in range(6)
    ]
    treated = [
        _episode(
            n,
            *({1: [DONE], 2: [DEAD, LEFT], 4: [SAID, SAID, DONE]}.get(n, [SAID] * 3)),
            grader=grader,
        )
        for n in range(6)
    ]
    return {"silent": control, EVIL_ARM: treated}


@pytest.fixture(scope="module")
def page(arms: Any, grader: Grader, tmp_path_factory: pytest.TempPathFactory) -> Path:
    trial = compare_arms(arms, samples=200)
    students = [one.key[0] for one in arms["silent"]]
    values = outcome_values(arms, ["solved"])[:, :, 0]
    sums = [
        student_sums(students, np.stack([column, np.ones(len(column))], axis=1))
        for column in values.T
    ]
    curve = power_curve(
        *sums, design="groups", arm=EVIL_ARM, outcome="solved", effect=0.4, simulations=50
    )
    other = power_curve(*sums, design="paired", arm=EVIL_ARM, outcome="solved", simulations=50)
    about = About("made<b>", True, f"me {HOSTILE}", "trial", 3, 0, "full", ("a<b>", "c"))
    shown = dialogues(arms, choose_dialogues(arms, 6, 0), COURSE, grader, "full")
    folder = tmp_path_factory.mktemp("trial")
    path = write_trial(folder, trial, about, shown, [other, curve])
    assert path.read_text("utf-8") == render_trial(trial, about, shown, [other, curve])
    return path


def test_the_largest_differences_come_first_and_the_others_are_drawn(arms: Any) -> None:
    chosen = choose_dialogues(arms, 6, 0)
    assert [(key[0], why) for key, why in chosen[:3]] == [
        ("s1<i>", f"{EVIL_ARM} is furthest ahead here"),
        ("s2<i>", f"{EVIL_ARM} is furthest behind here"),
        ("s4<i>", f"{EVIL_ARM} is furthest ahead here"),
    ]
    assert {why for _, why in chosen[3:]} == {"drawn at random"}
    assert len({key for key, _ in chosen}) == 6
    assert len(choose_dialogues(arms, 99, 0)) == 6
    assert choose_dialogues(arms, 4, 1)[:2] == chosen[:2]


class Reader(HTMLParser):
    """The elements and texts of a page; fails where they do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_hostile_text_is_shown_and_nothing_of_it_is_part_of_the_page(page: Path) -> None:
    source = page.read_text("utf-8")
    found = Reader(source)
    names = {name for name, _ in found.elements}
    assert not names & {"script", "img", "i", "b", "iframe", "object"}
    assert not any(key.startswith("on") for _, attributes in found.elements for key in attributes)
    text = "".join(found.texts)
    for whole in (HOSTILE, EVIL_ARM, "s1<i>", f"Twice {HOSTILE}", f"ConnectionError: {HOSTILE}"):
        assert whole in text
    assert "solved by submission 1" in text
    assert "gives up" in text
    assert "Tutor says (leak 0.25)" in text
    assert "expected" in text  # the grader's feedback in full


def test_the_page_loads_nothing_and_its_policy_lets_its_style_alone_in(page: Path) -> None:
    source = page.read_text("utf-8")
    [style] = re.findall(r"<style>(.*?)</style>", source, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [
        attributes["content"] or ""
        for name, attributes in Reader(source).elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; style-src 'sha256-" + digest)
    assert "script-src" not in policy
    for name, attributes in Reader(source).elements:
        assert "src" not in attributes
        if name in ("a", "link"):
            assert (attributes["href"] or "").startswith(("#", "data:"))
    assert "url(" not in style
    assert "@import" not in style


def test_programs_are_shown_to_the_character(page: Path) -> None:
    source = page.read_text("utf-8")
    text = "".join(Reader(source).texts)
    assert ODD.rstrip("\n") in text
    marked = re.findall(r'class="row right" data-number="(\d+)"', source)
    assert {"2", "3", "4"} <= set(marked)


def shown_lines(before: str, code: str, grader: Grader) -> dict[str, bool]:
    """The lines of a submission as the page has them, and whether each is new."""
    verdict = Verdict(Fraction(0), "logical")
    key = ("s", ASSIGNMENT.id, 1)
    turn = Turn("", "", 0.0, code, None, "exit")
    one = TutoredEpisode(key, ((before, verdict),), (turn,), horizon=3)
    [dialogue] = dialogues({"silent": [one]}, [(key, "")], COURSE, grader, "full")
    [(_, _, [shown])] = dialogue.arms
    return {line.text: line.is_new for line in shown.lines}


def test_new_lines_are_told_from_those_that_were_there(grader: Grader) -> None:
    before, after = "a\nb\nc\nd\ne", "a\nc\nx\nb\ne"
    assert shown_lines(before, after, grader) == {
        "a": False, "c": True, "x": True, "b": False, "e": False,
    }  # fmt: skip
    # So many that their order does not count: what there is more of is new.
    many = [f"line {number}" for number in range(300)]
    turned = ["first", *reversed(many), "new", "last"]
    found = shown_lines("\n".join(["first", *many, "last"]), "\n".join(turned), grader)
    assert [text for text, is_new in found.items() if is_new] == ["new"]


def test_a_program_made_to_be_slow_does_not_hold_the_page_up(grader: Grader) -> None:
    before, after = ["x", ""] * 2_000, ["", "", "x"] * 2_000
    begun = time.monotonic()
    shown_lines("\n".join(before), "\n".join(after), grader)
    shown_lines("\n".join(before[:180]), "\n".join(after[:180]), grader)
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_reads_in_a_browser(page: Path, chromium: Any, scheme: str, width: int) -> None:
    before = len(chromium.complaints())
    chromium.resize(width, 844, phone=width < 500)
    chromium.prefer(scheme)
    chromium.open(page)
    chromium.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate("document.querySelectorAll('img, script').length") == 0
    colour = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(255, 255, 255)") == (scheme == "light")
    assert chromium.evaluate(_FAINT) == []
    assert chromium.complaints()[before:] == []


def test_a_dialogue_opens_by_keyboard(page: Path, chromium: Any) -> None:
    chromium.resize(1280, 900)
    chromium.open(page)
    second = "document.querySelectorAll('.dialogue')[1]"
    assert chromium.evaluate(f"{second}.open") is False
    chromium.evaluate(f"{second}.querySelector('summary').focus()")
    chromium.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r")
    chromium.call("Input.dispatchKeyEvent", type="keyUp", key="Enter")
    assert chromium.evaluate(f"{second}.open") is True
    sides = f"{second}.querySelector('.arms')"
    assert chromium.evaluate(f"{sides}.tabIndex") == 0
