"""A trial of tutors as a page: what each arm changed, and the dialogues to read side by side.

The page is one file without a script: what opens and closes are HTML's own details, so that it
can be read with a keyboard, on a phone and without a network. What students and tutors wrote is
hostile: the template escapes all of it.

Covered: choosing episodes (where an arm is furthest ahead of the control or behind it, and others
at random) and what the page shows of them. Not covered: the numbers, which are
`novicegym.eval.trial` and `novicegym.eval.power`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import numpy as np

from novicegym.courses.model import Course
from novicegym.errors import UsageError
from novicegym.eval.power import DESIGNS, PowerCurve
from novicegym.eval.report.browser import LONGEST
from novicegym.eval.report.page import render_template
from novicegym.eval.trial import Trial
from novicegym.eval.trial_episodes import OUTCOMES, TutoredEpisode
from novicegym.eval.trial_leaks import EpisodeKey
from novicegym.grading.feedback import FeedbackLevel, grade_text, render_feedback
from novicegym.grading.grader import Grader
from novicegym.runs import write_atomically

_CHOICE = 9  # stream of the seed
_MOST_ALIGNED = 100
"""Changed lines of two programs that are aligned, which takes 5 ms at worst."""


@dataclass(frozen=True, slots=True)
class About:
    """What was tried, as the page tells it."""

    course: str
    synthetic: bool
    student: str
    protocol: str
    horizon: int
    seed: int
    feedback: FeedbackLevel
    """What the grader told the students."""
    runs: tuple[str, ...]
    """The folder of each arm's run."""


class Line(NamedTuple):
    """One line of a program."""

    number: int
    text: str
    is_new: bool
    """Whether the submission before did not have it there."""


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """What was said, and what came of it."""

    message: str
    failure: str
    leak: float
    lines: tuple[Line, ...]
    grade: str
    outcome: str
    feedback: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One start under every arm."""

    why: str
    """Why it is shown."""
    title: str
    prompt: str
    student_id: str
    position: int
    before: ShownTurn
    """The submission it starts from."""
    arms: tuple[tuple[str, TutoredEpisode, tuple[ShownTurn, ...]], ...]


def choose_dialogues(
    arms: Mapping[str, Sequence[TutoredEpisode]], count: int, seed: int
) -> list[tuple[EpisodeKey, str]]:
    """Return which episodes are shown and why: half of them for their difference, others drawn.

    arms: the control first. Raises UsageError for a count below 1.
    """
    if count < 1:
        raise UsageError(f"episodes must be at least 1, got {count}")
    control, *others = ({one.key: one for one in episodes} for episodes in arms.values())
    rankings = []
    for arm, episodes in zip(list(arms)[1:], others, strict=True):
        ahead = {key: _ahead(episodes[key], one) for key, one in control.items()}
        for way, sign in (("ahead", 1), ("behind", -1)):
            ranked = sorted(ahead, key=lambda key: ([-sign * one for one in ahead[key]], key))
            there = [key for key in ranked if [sign * one for one in ahead[key]] > [0.0] * 3]
            rankings.append([(key, f"{arm} is furthest {way} here") for key in there])
    chosen: dict[EpisodeKey, str] = {}
    for place in range(len(control)):
        for ranking in rankings:
            if place < len(ranking) and len(chosen) < (count + 1) // 2:
                chosen.setdefault(*ranking[place])
    keys = list(control)
    for number in np.random.default_rng([_CHOICE, seed]).permutation(len(keys)):
        if len(chosen) < count:
            chosen.setdefault(keys[number], "drawn at random")
    return list(chosen.items())


def _ahead(one: TutoredEpisode, control: TutoredEpisode) -> list[float]:
    return [
        one.solved - control.solved,
        one.final_grade - control.final_grade,
        control.submissions - one.submissions,
    ]


def dialogues(
    arms: Mapping[str, Sequence[TutoredEpisode]],
    chosen: Sequence[tuple[EpisodeKey, str]],
    course: Course,
    grader: Grader,
    feedback: FeedbackLevel,
) -> list[Dialogue]:
    """Return what the page shows of the chosen episodes; grades them again for the feedback."""
    episodes = {arm: {one.key: one for one in played} for arm, played in arms.items()}
    programs = {
        (key[1], turn.code)
        for key, _ in chosen
        for played in episodes.values()
        for turn in played[key].turns
        if turn.grade is not None
    }
    ordered = sorted(programs)
    verdicts = grader.grade_batch([(course.assignment(name), code) for name, code in ordered])
    told = {
        program: render_feedback(verdict, feedback)
        for program, verdict in zip(ordered, verdicts, strict=True)
    }
    found = []
    for key, why in chosen:
        assignment = course.assignment(key[1])
        shown = []
        for arm, played in episodes.items():
            code, verdict = played[key].before[-1]
            turns = []
            for turn in played[key].turns:
                turns.append(
                    ShownTurn(
                        turn.message,
                        turn.failure,
                        turn.leak,
                        _lines(turn.code, code),
                        "" if turn.grade is None else grade_text(turn.grade),
                        turn.outcome,
                        told.get((key[1], turn.code), ""),
                    )
                )
                code = turn.code
            shown.append((arm, played[key], tuple(turns)))
        code, verdict = next(iter(episodes.values()))[key].before[-1]
        found.append(
            Dialogue(
                why=why,
                title=assignment.title or assignment.id,
                prompt=assignment.prompt,
                student_id=key[0],
                position=key[2],
                before=ShownTurn(
                    *("", "", 0.0, _lines(code, code)),
                    grade_text(verdict.grade),
                    verdict.outcome,
                    render_feedback(verdict, feedback),
                ),
                arms=tuple(shown),
            )
        )
    return found


def _lines(code: str, before: str) -> tuple[Line, ...]:
    """Return the lines of a program; of one that is very long, the first."""
    cut = code if len(code) <= LONGEST else f"{code[:LONGEST]}\n[cut: {len(code):,} characters]"
    rows, earlier = (text.rstrip("\n").split("\n") for text in (cut, before[:LONGEST]))
    new = _new(rows, earlier)
    return tuple(Line(place + 1, text, place in new) for place, text in enumerate(rows))


def _new(rows: list[str], earlier: list[str]) -> set[int]:
    """Return the places of the rows that are not among the earlier ones, in their order.

    Where many are changed, order does not count: aligning them takes time with the cube.
    """
    head = _same_at_first(rows, earlier)
    tail = _same_at_first(rows[head:][::-1], earlier[head:][::-1])
    ours, theirs = rows[head : len(rows) - tail], earlier[head : len(earlier) - tail]
    new: set[int] = set()
    if len(ours) * len(theirs) > _MOST_ALIGNED**2:
        left = Counter(theirs)
        for place, text in enumerate(ours, head):
            left[text] -= 1
            if left[text] < 0:
                new.add(place)
        return new
    for tag, _, _, first, last in SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        if tag != "equal":
            new.update(range(head + first, head + last))
    return new


def _same_at_first(rows: Sequence[str], earlier: Sequence[str]) -> int:
    pairs = enumerate(zip(rows, earlier, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(rows), len(earlier)))


def render_trial(
    trial: Trial, about: About, shown: Sequence[Dialogue], power: Sequence[PowerCurve] = ()
) -> str:
    """Return the page. The same input gives the same text."""
    return render_template(
        "trial.html",
        styles=("style.css", "trial.css"),
        trial=trial,
        about=about,
        dialogues=shown,
        outcomes=OUTCOMES,
        labels={one.name: one.label for one in OUTCOMES},
        digits={one.name: 2 if one.name in ("submissions", "messages") else 3 for one in OUTCOMES},
        power={design: [one for one in power if one.design == design] for design in DESIGNS},
    )


def write_trial(
    out: Path,
    trial: Trial,
    about: About,
    shown: Sequence[Dialogue],
    power: Sequence[PowerCurve] = (),
) -> Path:
    """Write trial.html into the folder `out`, over an earlier one; return its path."""
    page = out / "trial.html"
    write_atomically(page, render_trial(trial, about, shown, power).encode("utf-8", "replace"))
    return page
