"""Which episode-steps a comparison counts, and how much.

Grade proximity and CodeBLEU are means over the steps a policy covers, and each policy covers
others: one that solves early is judged on what is left. Two remedies, both functions of scored
records, so that every other statistic can follow them:

- common support: the steps that all policies, with all their runs, cover
- imputation: a step that the student made and the policy did not counts as 0 in both

Neither replaces coverage, which is reported beside. On a common support it is 1 by construction.
The common support shrinks to what the least covering policy leaves, and is no random part of the
steps: say its share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import (
    FloatArray,
    Interval,
    Run,
    check_same_starts,
    intervals_if_possible,
)
from novicegym.eval.metrics import ScoredStep

StepKey: TypeAlias = tuple[str, str, int, int]
"""(student_id, assignment_id, position, step)."""


@dataclass(frozen=True, slots=True)
class StepSupport:
    """All rollouts at one step."""

    step: int
    counterparts: int
    """Submissions the students made."""
    common: int
    """Those among them that every run covers."""


@dataclass(frozen=True, slots=True)
class CommonSupport:
    """Several runs, cut down to the episode-steps that all of them cover."""

    steps: tuple[StepSupport, ...]
    runs: tuple[tuple[ScoredStep, ...], ...]
    """In the order given, each in its own order."""

    @property
    def share(self) -> float | None:
        """Share of the students' submissions that every run covers; None where there are none."""
        counterparts = sum(one.counterparts for one in self.steps)
        return sum(one.common for one in self.steps) / counterparts if counterparts else None


@dataclass(frozen=True, slots=True)
class SupportRow:
    """One policy, measured three ways. Values as in `intervals_if_possible`."""

    covered: dict[str, Interval | None]
    """Over the steps the policy itself covers: what the table shows."""
    common: dict[str, Interval | None]
    """Over the steps that every policy covers."""
    imputed: dict[str, Interval | None]
    """Over all steps the students made; coverage is the policy's own."""


@dataclass(frozen=True, slots=True)
class SupportTable:
    """Policies that were played from the same starts, compared fairly."""

    support: CommonSupport
    rows: dict[str, SupportRow]


def common_support(runs: Sequence[Run]) -> CommonSupport:
    """Return the runs on exactly the episode-steps that all of them cover.

    Raises UsageError for no run, and runs from different starts.
    """
    check_same_starts(runs)
    common = set.intersection(*({step_key(one) for one in run if one.valid} for run in runs))
    counterparts = Counter(one.step for one in runs[0] if one.has_counterpart)
    shared = Counter(key[3] for key in common)
    return CommonSupport(
        steps=tuple(StepSupport(k, counterparts[k], shared[k]) for k in sorted(counterparts)),
        runs=tuple(tuple(one for one in run if step_key(one) in common) for run in runs),
    )


def impute(run: Run, *, with_codebleu: bool = True) -> list[ScoredStep]:
    """Return the run with grade proximity and CodeBLEU 0 at every step it does not cover.

    Steps without a counterpart stay without values, and coverage stays as it is.
    with_codebleu: False where the run was scored without it; CodeBLEU then stays None.
    """
    score = 0.0 if with_codebleu else None
    return [
        replace(one, grade_proximity=0.0, codebleu=score, codebleu_corrected=score)
        if one.has_counterpart and not one.has_code
        else one
        for one in run
    ]


def support_table(
    policies: Mapping[str, Sequence[Run]],
    *,
    with_codebleu: bool = True,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> SupportTable:
    """Return each policy on its own steps, on those of all, and with its gaps counted as 0.

    policies: the scored runs of each, one a seed. with_codebleu: as in `impute`.
    Raises UsageError for a policy without a run, and runs from different starts.
    """
    for name, runs in policies.items():
        if not runs:
            raise UsageError(f"policy {name!r} has no run")
    support = common_support([run for runs in policies.values() for run in runs])
    cut = iter(support.runs)
    rows = {}
    for name, runs in policies.items():
        views = (
            runs,
            [next(cut) for _ in runs],
            [impute(run, with_codebleu=with_codebleu) for run in runs],
        )
        rows[name] = SupportRow(
            *(
                intervals_if_possible(view, samples=samples, level=level, seed=seed)
                for view in views
            )
        )
    return SupportTable(support, rows)


def step_key(one: ScoredStep) -> StepKey:
    """Return what tells a step from all others of its run."""
    return one.student_id, one.assignment_id, one.position, one.step


def once_each(targets: Sequence[Hashable]) -> FloatArray:
    """Return weights that add up to 1 over the rows of each target.

    A submission is what up to `horizon` rollouts aim at, a late one more than an early one;
    weighted so, every logged submission counts once, and what was simulated for it as much.
    """
    rows = Counter(targets)
    return np.array([1 / rows[target] for target in targets], dtype=np.float64)
