"""A trial of tutors as a screen of text: at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novicegym.eval.bootstrap import Interval
    from novicegym.eval.power import PowerCurve
    from novicegym.eval.report.trial import About
    from novicegym.eval.trial import Effect, Part, Trial

_WIDTH = 80
_DESIGNS = {
    "paired": "each under both tutors, as here",
    "groups": "half of them under each tutor, as with real students",
}


def render_trial(trial: Trial, about: About, curves: Sequence[PowerCurve] = ()) -> Iterator[str]:
    """Yield the lines of a trial: at most 80 columns, and nothing that drives a terminal."""
    from rich.cells import cell_len, set_cell_size

    for line in _lines(trial, about, curves):
        yield line if cell_len(line) <= _WIDTH else set_cell_size(line, _WIDTH - 1) + "…"


def _lines(trial: Trial, about: About, curves: Sequence[PowerCurve]) -> Iterator[str]:
    yield from _head(trial, about)
    yield ""
    yield from _outcomes(trial)
    yield ""
    yield from _by_skill(trial.parts)
    yield from _power(curves)
    yield ""
    yield "An effect on simulated students is a hypothesis about real ones."


def _head(trial: Trial, about: About) -> Iterator[str]:
    synthetic = " (synthetic)" if about.synthetic else ""
    yield from _prose(
        f"Simulated student {_line(about.student)} on {_line(about.course)}{synthetic}: "
        f"{trial.episodes:,} episodes from logged states of {trial.students:,} students under "
        f"each tutor, at most {about.horizon} submissions each. Differences from "
        f"{_line(trial.arms[0])}, paired by episode; 95 % intervals by student, p values by "
        "flipping the signs of students' differences, adjusted for all rows (Holm). Leak: how much "
        "of a correct program a message gives away; in all: all of an episode's messages together."
    )


def _outcomes(trial: Trial) -> Iterator[str]:
    from novicegym.eval.trial_episodes import OUTCOMES

    yield f"{'':18}{'mean (95 % interval)':24}{'difference':26}{'p':>6}"
    for outcome in OUTCOMES:
        yield outcome.label
        for arm in trial.arms:
            yield _effect(trial.effect(arm, outcome.name))


def _by_skill(parts: Sequence[Part]) -> Iterator[str]:
    yield from _prose(
        "Share solved, by the mean grade of what the student had submitted when the tutor came:"
    )
    for part in parts:
        yield (
            f"{part.name} ({part.lowest:.2f} to {part.highest:.2f}): "
            f"{_counted(part.episodes, 'episode')} of {_counted(part.students, 'student')}"
        )
        for one in part.effects:
            if one.outcome == "solved":
                yield _effect(one)
        if not part.effects:
            yield "  too few students to compare"


def _power(curves: Sequence[PowerCurve]) -> Iterator[str]:
    for design, under in _DESIGNS.items():
        of_design = [one for one in curves if one.design == design]
        if of_design:
            yield ""
            yield from _prose(f"Students for a power of 80 % at 5 %, {under}:")
            yield from map(_needed, of_design)


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)


def _line(text: str) -> str:
    """Return what somebody named, as part of one line."""
    from novicegym.envs.render import printable

    return printable(" ".join(text.split()))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _effect(one: Effect) -> str:
    from rich.cells import set_cell_size

    from novicegym.eval.report.tables import shown_p

    digits = 2 if one.outcome in ("submissions", "messages") else 3
    row = f"{set_cell_size(f'  {_line(one.arm)}', 17)} {_interval(one.mean, digits):24}"
    if one.difference is None:
        return f"{row}control"
    p = "" if one.adjusted_p is None else shown_p(one.adjusted_p).replace(" ", "")
    return f"{row}{_interval(one.difference.interval, digits, sign='+'):26}{p:>6}"


def _interval(one: Interval, digits: int, sign: str = "") -> str:
    texts = [f"{end:{sign}.{digits}f}" for end in (one.value, one.low, one.high)]
    value, low, high = (text if float(text) else text.lstrip("+-") for text in texts)
    return f"{value} ({low} to {high})"


def _needed(one: PowerCurve) -> str:
    from novicegym.eval.power import LEAST, MOST

    name = f"  {_line(one.arm)}, {one.outcome} {one.effect:+.3f}"
    if not one.effect:
        return f"{name}: there is no effect to see"
    if one.needed is None:
        return f"{name}: more than {MOST:,}"
    fewer = " or fewer" if one.needed.students == LEAST else ""
    return (
        f"{name}: {one.needed.students:,}{fewer} ({one.needed.episodes:,} episodes of each tutor)"
    )
