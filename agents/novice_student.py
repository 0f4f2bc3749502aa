"""Who the simulated students are: the model's parameters, a student's traits, what she sees.

Covered: drawing a student, reading what a feedback shows off its text at any feedback level.
Not covered: what she does about it, which is `novice_process`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from novicegym.agents.novice_catalogue import TOPICS, Topic, catalogue
from novicegym.agents.novice_hints import Hint
from novicegym.agents.novice_style import Style, draw_style

Sight: TypeAlias = Literal[
    "syntax", "runtime", "limit", "case", "summary", "grade", "nothing", "correct"
]
"""What a feedback lets the student see. case: a failed test with input and expected output;
summary: that the answer is wrong; limit: a time or memory limit; grade: a number only."""

Move: TypeAlias = Literal["tinker", "cosmetic", "revert", "start_over", "resubmit"]


@dataclass(frozen=True, slots=True)
class Process:
    """The parameters of the model. docs/cs1.md says what they were tuned on."""

    first_bugs: float = 8.0
    """Mean number of bugs in a first submission of 15 lines by a student of ability 0; it grows
    with the square root of the length, and no submission starts with more than 12."""
    first_slip: float = 0.2
    """Chance of a syntax slip in a first submission."""
    unfinished: float = 0.15
    """Chance that the end of the program is missing in a first submission."""
    repair: Mapping[Sight, float] = field(
        default_factory=lambda: {
            "syntax": 0.75,
            "runtime": 0.6,
            "limit": 0.6,
            "case": -1.4,
            "summary": -1.6,
            "grade": -1.8,
            "nothing": -2.0,
        }
    )
    """Log odds that a student of skill 0 repairs something, by what the feedback shows."""
    skill_slope: float = 0.7
    """Added to the log odds per unit of skill."""
    insight: float = 0.4
    """Standard deviation of what a student finds easier or harder on one assignment."""
    more_repairs: float = 0.4
    """Chance that a repair is followed by another one in the same submission."""
    moves: Mapping[Move, float] = field(
        default_factory=lambda: {
            "tinker": 0.78,
            "cosmetic": 0.12,
            "revert": 0.1,
            "start_over": 0.04,
            "resubmit": 0.04,
        }
    )
    """What a student does who does not repair: relative shares."""
    slip: float = 0.05
    """Chance that an edit brings a syntax slip with it, for a student of middling care."""
    misconceptions: int = 3
    """Kinds of bugs a student believes in."""
    misconception_weight: float = 6.0
    """How many times more often such a bug is made."""
    runtime_weight: float = 0.12
    """How often bugs that raise are made, against bugs that give wrong answers."""
    give_up: float = 0.015
    """Chance of giving up after the fourth failed submission and each later one, at middling
    persistence; less before, and never after the first."""
    seen_hanging: float = 0.93
    """Chance that a student who is about to break a while loop runs it first and thinks again."""
    learning: float = 0.04
    """Ability gained per assignment done."""
    # What follows is about a tutor's messages. All six are assumptions, chosen and not estimated;
    # `novice_listening` says what they do and where their sizes come from.
    hint_odds: float = 1.2
    """Added to the log odds of a repair by a message that points at a fault that is there. An
    assumption: the size of a tutoring effect of 0.66 standard deviations."""
    hint_belief: float = 0.6
    """Added to that where the fault is what one of the student's misconceptions makes, because
    the hint says what feedback does not. An assumption: half of `hint_odds`."""
    hint_focus: float = 0.8
    """Chance that the student keeps to the place pointed at, be it a fault or not: repairs that
    fault first, or tinkers there; else she does what she would have done. An assumption."""
    hint_astray: float = 0.4
    """Taken from the log odds of a repair by a message that points at a line where no fault is.
    An assumption: a third of `hint_odds`."""
    copying: float = 0.7
    """Chance of submitting a whole program that is shown as it is, for a student of middling
    ability and care; times exp(-0.15 (ability + care)), at most 1. An assumption."""
    cure: float = 0.5
    """Chance that a misconception is gone on the next assignment, once a message has pointed at a
    fault that it made and the student has mended that fault herself. An assumption."""


@dataclass(frozen=True, slots=True)
class Novice:
    """One student."""

    skills: Mapping[Topic, float]
    """By topic: about 0 with standard deviation 1."""
    misconceptions: tuple[str, ...]
    """Names of kinds of bugs."""
    care: float
    """Keeps from slips: about 0 with standard deviation 1."""
    persistence: float
    """Keeps from giving up: about 0 with standard deviation 1."""
    style: Style
    insight: float = 0.0
    """What is added to the skills on the assignment at hand."""
    cured: tuple[str, ...] = ()
    """Those of the misconceptions that she has got over: their bugs are not made any more."""

    @property
    def ability(self) -> float:
        """Mean skill, on the assignment at hand."""
        return sum(self.skills.values()) / len(self.skills) + self.insight


class Shown(NamedTuple):
    """What the last feedback lets the student see, and what she reads in a tutor's message."""

    sight: Sight
    line: int | None = None
    """The 1-based line the feedback points at."""
    name: str = ""
    """The name of which it says that it has no value."""
    lines: tuple[int, ...] = ()
    """All lines that the feedback names, `line` among them."""
    hint: Hint = Hint()
    """Empty without a message."""


def draw_novice(rng: np.random.Generator, process: Process) -> Novice:
    """Draw a student."""
    ability = rng.normal(0, 0.85)
    skills: dict[Topic, float] = {topic: float(ability + rng.normal(0, 0.5)) for topic in TOPICS}
    kinds = [kind for kind in catalogue() if kind.category != "syntax"]
    weights = np.array([kind.weight * math.exp(-0.5 * skills[kind.topic]) for kind in kinds])
    chosen = rng.choice(
        len(kinds), size=process.misconceptions, replace=False, p=weights / weights.sum()
    )
    return Novice(
        skills=skills,
        misconceptions=tuple(kinds[int(index)].name for index in chosen),
        care=float(0.5 * ability + rng.normal(0, 0.85)),
        persistence=float(rng.normal(0, 1)),
        style=draw_style(rng),
    )


def read_feedback(text: str) -> Shown:
    """Return what a feedback shows; any text will do."""
    lines = tuple(int(number) for number in re.findall(r"\bline (\d{1,6})\b", text))
    return _sight(text, lines[-1] if lines else None)._replace(lines=lines)


def _sight(text: str, line: int | None) -> Shown:
    """Return what a feedback shows, but for the lines it names before the last one."""
    # At the start of a line only the grader speaks: what programs print stands indented.
    sentence = re.search(r"^Your program (.*)$", text, re.MULTILINE)
    says = sentence.group(1) if sentence else ""
    if re.search(r"\b(Syntax|Indentation|Tab)Error\b|not valid Python", text):
        return Shown("syntax", line)
    if "too long" in says or "too much memory" in says:
        return Shown("limit")
    if re.search(r"^\s*(error:.*)?\w*(Error|Exception|Interrupt)\b", text, re.MULTILINE):
        name = re.search(r"(?:Name|UnboundLocal)Error: .*?'(\w+)'", text)
        return Shown("runtime", line, name.group(1) if name else "")
    if "stops with an error" in says:
        return Shown("runtime")
    if says.startswith("is correct") or re.search(r"^Grade: 100/100$", text, re.MULTILINE):
        return Shown("correct")
    if "expected" in text:
        return Shown("case")
    if "wrong" in text or "passed" in text:
        return Shown("summary")
    return Shown("grade" if "Grade" in text else "nothing")
