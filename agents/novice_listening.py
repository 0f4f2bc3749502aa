"""What a tutor's message does to the simulated beginner: her susceptibility to hints.

She reads what `novice_hints` says and looks at one of the places named, drawn at random, so that
a message which names every line points nowhere.

- A line at which one of her faults lies: a repair is likelier (`Process.hint_odds`), more so
  where the fault is what one of her misconceptions makes (`hint_belief`), and it is mostly that
  fault which is repaired, or there that she tinkers (`hint_focus`).
- A line at which no fault lies: it costs attention. A repair is less likely (`hint_astray`), and
  she mostly tinkers there.
- No line, but words in backticks: a word that is part of what must change points at that fault.
  Others do nothing, since names are said in passing, too.
- A line alone that the feedback names already: nothing, she knows it.
- A whole program that is not hers: she may submit it as it is (`copying`), right or wrong. If she
  does not, the rest of the message counts.

Faults are differences from the correct program she herself has in mind. A tutor who compares
with another one may be right and still send her astray.

Whether a fault is what a misconception makes: the misconception's bug, made at some place of the
correct program, changes the same lines into the same lines. Other bugs of the program do not
disturb this; two in one line hide each other.

All of this is assumed, not estimated: the hint requests in the ITAP logs say what followed, not
what would have followed without. The orders of size come from the literature on learning.
Intelligent tutoring raised test scores by a median of 0.66 standard deviations in 50 controlled
evaluations (Kulik and Fletcher, Review of Educational Research 86(1), 2016), which is 1.2 in log
odds by the factor pi / sqrt(3).
Students improved their programs more easily from one submission to the next when suspicious
lines were marked (Edmison and Edwards, ICSE-SEET 2020). Feedback on misconceptions helped
more than that on outputs (Gusukuma et al., ICER 2018). But data-driven hints had no effect on
overall performance in a classroom trial (Price et al., AIED 2020, doi
10.1007/978-3-030-52240-7_45), so an effect of 0 is no less in line with what is known.

Covered: any message. Not covered: trust lost by bad hints, help that is asked for. What is learnt
for the next assignment is in `novice_memory`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from novicegym.agents.novice_catalogue import catalogue
from novicegym.agents.novice_faults import Fault, find_faults, gap, words
from novicegym.agents.novice_hints import Hint
from novicegym.agents.novice_source import Source, splice
from novicegym.agents.novice_student import Novice, Process, Shown


class Heard(NamedTuple):
    """What a message changes about the next submission."""

    copied: str | None = None
    """The program she submits as it is shown."""
    odds: float = 0.0
    """Added to the log odds of a repair."""
    fault: Fault | None = None
    """The fault that a repair mends first."""
    line: int | None = None
    """Where she tinkers."""


def listen(
    novice: Novice,
    submitted: Sequence[str],
    shown: Shown,
    target: str | None,
    faults: Sequence[Fault],
    rng: np.random.Generator,
    process: Process,
) -> Heard:
    """Return what the message in `shown` does to a student who has these faults left.

    submitted: at least one program. target: the program she aims at, which `faults` lead to.
    rng: not the one that what she does without a message is drawn from.
    """
    copies, place, within, focuses = (float(draw) for draw in rng.random(4))
    program = _program_to_copy(shown.hint, submitted, target)
    if program is not None and copies < copying(novice, process):
        return Heard(copied=program)
    code = submitted[-1]
    line, fault = _looked_at(code, faults, shown, place, within)
    if line is None:
        return Heard()
    odds = -process.hint_astray
    if fault is not None:
        believed = target is not None and belief(novice, code, fault, target) is not None
        odds = process.hint_odds + (process.hint_belief if believed else 0.0)
    if focuses < process.hint_focus:
        return Heard(odds=odds, fault=fault, line=line)
    return Heard(odds=odds)


def copying(novice: Novice, process: Process) -> float:
    """Return the chance that a student copies a program she is shown."""
    return min(1.0, process.copying * math.exp(-0.15 * (novice.ability + novice.care)))


def belief(novice: Novice, code: str, fault: Fault, target: str) -> str | None:
    """Return the misconception of the student that makes this fault of `code` in `target`."""
    source = Source(target)
    made = change(code, fault)
    for kind in catalogue():
        if kind.name in novice.misconceptions:
            for edits in kind.places(source):
                planted = splice(target, edits)
                if any(change(planted, other) == made for other in find_faults(planted, target)):
                    return kind.name
    return None


def _program_to_copy(hint: Hint, submitted: Sequence[str], target: str | None) -> str | None:
    """Return the first program shown that is a whole one and none of the student's own."""
    if not hint.programs:
        return None
    own = {_lexemes(code) for code in submitted}
    whole = len(_lexemes(submitted[-1] if target is None else target)) / 2
    for program in hint.programs:
        lexemes = _lexemes(program)
        if lexemes not in own and len(lexemes) >= whole:
            return program
    return None


def _looked_at(
    code: str, faults: Sequence[Fault], shown: Shown, place: float, within: float
) -> tuple[int | None, Fault | None]:
    """Return the line the student looks at, and the fault there; None for what there is not.

    place, within: in [0, 1), say which of the places named, and which of its lines.
    """
    hint = shown.hint
    length = code.rstrip().count("\n") + 1
    # A line that her program does not have is nowhere to look at.
    spans = [(max(first, 1), min(last, length)) for first, last in hint.lines]
    named = [span for span in spans if span[0] <= span[1]]
    if named:
        first, last = named[int(place * len(named))]
        line = first + int(within * (last - first + 1))
        if line in (shown.line, *shown.lines) and not hint.words:
            return None, None
        there = [fault for fault in faults if gap(fault, line) == 0]
        meant = [fault for fault in there if _changing(code, fault) & set(hint.words)]
        return line, next(iter(meant or there), None)
    if hint.lines or not hint.words:
        return None, None
    word = hint.words[int(place * len(hint.words))]
    for fault in faults:
        if word in _changing(code, fault):
            return fault.start + 1, fault
    return None, None


def change(code: str, fault: Fault) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a fault changes into what, as lexemes."""
    lines = code.rstrip().split("\n")
    return _lexemes("\n".join(lines[fault.start : fault.end])), _lexemes("\n".join(fault.lines))


def _changing(code: str, fault: Fault) -> set[str]:
    """Return the lexemes that go or come when a fault is mended."""
    old, new = (Counter(side) for side in change(code, fault))
    return set(old - new) | set(new - old)


def _lexemes(text: str) -> tuple[str, ...]:
    return tuple(word for word in words(text) if word != "\n")
