"""Curation: named steps that cut a course down to what a study uses, and say what they cut.

Covered: the paper's five rules (preset "paper"), the further rules of its released code
(preset "published"), and any list of steps by name: "labs-only,min-submissions:3".
Not covered: the released code's rule that drops a trajectory when re-execution gives another
grade than the log; grade the course again instead, so that there is one grade. Nor its rule
against redacted programs: only the log tells them; load it with `include_redacted=False`.

Steps are applied in the order given and each sees what the one before left. A trajectory
that loses its last submission is gone, and counted. A step never guesses a grade: where it
needs one that the log does not tell, it stops with an error.

>>> [step.name for step in parse_steps("labs-only,min-submissions:3")]
['labs-only', 'min-submissions:3']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from novicegym.courses.curation_rules import PRESETS, RULES, Apply
from novicegym.courses.model import Course
from novicegym.courses.selection import Selection
from novicegym.errors import UsageError, unknown_name


@dataclass(frozen=True, slots=True)
class CurationStep:
    """One rule."""

    name: str
    """With its parameter, as it was written: "min-submissions:3"."""
    description: str
    """One line for people."""
    apply: Apply


@dataclass(frozen=True, slots=True)
class Counts:
    """The size of a course."""

    trajectories: int
    submissions: int
    students: int
    assignments: int
    """Those with at least one trajectory."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did."""

    step: str
    description: str
    kept: Counts
    removed: Counts


@dataclass(frozen=True, slots=True)
class CurationReport:
    """What a curation did, step by step."""

    course: str
    before: Counts
    steps: tuple[StepReport, ...]

    @property
    def after(self) -> Counts:
        """What is left."""
        return self.steps[-1].kept if self.steps else self.before

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return asdict(self)


def curate(
    course: Course, steps: str | Sequence[str | CurationStep]
) -> tuple[Course, CurationReport]:
    """Apply `steps` in order; return the course that is left and what each step kept.

    Steps that judge code stream through the trajectories once each; the curated course holds
    no code of its own but reads it from `course`. Raises UsageError for unknown steps and
    for grades that a step needs and the log does not tell.
    """
    selection = Selection.everything(course)
    before = counts = _count(selection)
    reports = []
    for step in parse_steps(steps):
        selection = step.apply(selection)
        kept = _count(selection)
        reports.append(StepReport(step.name, step.description, kept, _difference(counts, kept)))
        counts = kept
    return selection.course(), CurationReport(course.name, before, tuple(reports))


def parse_steps(steps: str | Sequence[str | CurationStep]) -> list[CurationStep]:
    """Return the steps named in `steps`: comma-separated text or a list; presets are unfolded."""
    if isinstance(steps, str):
        steps = [part for part in (part.strip() for part in steps.split(",")) if part]
        if not steps:
            raise UsageError(f"no curation step is named; known: {', '.join([*RULES, *PRESETS])}")
    parsed: list[CurationStep] = []
    for step in steps:
        if isinstance(step, CurationStep):
            parsed.append(step)
        elif step in PRESETS:
            parsed += [_parse_step(name) for name in PRESETS[step]]
        else:
            parsed.append(_parse_step(step))
    return parsed


def describe_steps() -> list[tuple[str, str]]:
    """Return (how to write it, what it does) of every step and preset, for help texts."""
    presets = [(name, "the steps " + ", ".join(steps)) for name, steps in PRESETS.items()]
    return [(rule.usage, rule.description) for rule in RULES.values()] + presets


def _parse_step(text: str) -> CurationStep:
    name, _, parameter = text.partition(":")
    if name not in RULES:
        raise unknown_name("curation step", name, [*RULES, *PRESETS])
    rule = RULES[name]
    takes_parameter = ":" in rule.usage
    if parameter and not takes_parameter:
        raise UsageError(f"curation step {name!r} takes no parameter, got {parameter!r}")
    try:
        return CurationStep(text, rule.description, rule.build(parameter))
    except ValueError as error:
        raise UsageError(f"curation step {text!r}: {error}; write it as {rule.usage}") from None


def _count(selection: Selection) -> Counts:
    picks = selection.picks
    return Counts(
        trajectories=len(picks),
        submissions=sum(len(pick.kept) for pick in picks),
        students=len({pick.student_id for pick in picks}),
        assignments=len({pick.assignment_id for pick in picks}),
    )


def _difference(before: Counts, after: Counts) -> Counts:
    return Counts(
        before.trajectories - after.trajectories,
        before.submissions - after.submissions,
        before.students - after.students,
        before.assignments - after.assignments,
    )
