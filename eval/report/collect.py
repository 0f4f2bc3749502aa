"""From run folders to one plain data structure: everything a report says, and nothing of how.

Covered: the main table, the metrics over the steps, grade curves, fair support, paired
differences and realism, all from records alone. The machine Turing test takes a policy's run of
the lowest seed, and of a large one a part; everything else takes all. Not covered: the trajectory
browser, which is `novicegym.eval.report.browser`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from novicegym.errors import unknown_name
from novicegym.eval.abandonment import Abandonment, abandonment
from novicegym.eval.bootstrap import (
    DRAWS_A_TEST,
    Difference,
    Interval,
    Run,
    TooFewError,
    holm,
    paired_differences,
    step_intervals,
    sure_sign,
)
from novicegym.eval.grade_curve import CurvePoint, grade_curves
from novicegym.eval.metrics import Progress, score_steps, summarize
from novicegym.eval.realism import Realism, machine_turing_test
from novicegym.eval.report.policies import Policy
from novicegym.eval.samples import SampledScores, sampled_scores
from novicegym.eval.support import StepSupport, SupportRow, impute, support_table
from novicegym.eval.table import ResultTable
from novicegym.eval.transitions import (
    EditDistances,
    Transitions,
    edit_distances,
    outcome_transitions,
)

BASELINE = "persistence"

COMPARED = ("coverage", "grade_proximity", "codebleu")
"""The paper's metrics: those of Figure 1, and of the paired differences."""

PAIRED = (
    *(("covered", metric) for metric in COMPARED),
    *(("imputed", metric) for metric in COMPARED if metric != "coverage"),
)
"""(view, metric) of the paired differences; coverage is the same in both views."""


@dataclass(frozen=True, slots=True)
class RealismPanel:
    """How one policy proceeds, beside the students."""

    turing: Realism | None
    why_not: str
    """Why there is no machine Turing test; empty when there is one."""
    transitions: Transitions | None
    edits: EditDistances | None
    """Both None where fewer than two students have a step whose previous submission is known."""
    abandonment: Abandonment


@dataclass(frozen=True, slots=True)
class PolicyResults:
    """All results of one policy."""

    name: str
    is_students: bool
    is_trivial: bool
    """It imitates nobody: what it scores the metric gives for nothing."""
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    """Names of the folders, without the way to them."""
    by_run: tuple[dict[str, float | None], ...]
    """Each of COMPARED for each of `seeds`."""
    support: SupportRow
    by_step: dict[int, dict[str, Interval | None]]
    curve: tuple[CurvePoint, ...]
    realism: RealismPanel | None
    """None for the logged students."""
    sampled: SampledScores | None
    """What several runs say together; None for a policy of one run, and for the students."""


@dataclass(frozen=True, slots=True)
class PairedRow:
    """How far a policy is above the baseline in one metric."""

    policy: str
    view: str
    """"covered": on the steps that each covers itself; "imputed": on all, a gap counts as 0."""
    metric: str
    difference: Difference | None
    adjusted_p: float | None
    """By Holm, over all rows of the report."""

    @property
    def sure(self) -> int:
        """As `sure_sign`."""
        interval = None if self.difference is None else self.difference.interval
        return sure_sign(interval, self.adjusted_p)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report says."""

    course: str
    synthetic: bool
    protocol: str
    students: int
    trajectories: int
    episodes: int
    steps: int
    policies: tuple[PolicyResults, ...]
    support: tuple[StepSupport, ...]
    support_share: float | None
    baseline: str | None
    """None where there is nobody to compare with it."""
    paired: tuple[PairedRow, ...]
    paired_samples: int
    samples: int
    seed: int

    @property
    def simulated(self) -> tuple[PolicyResults, ...]:
        """The policies that are not the students themselves."""
        return tuple(one for one in self.policies if not one.is_students)

    @property
    def ended_at_once(self) -> tuple[str, ...]:
        """The policies that cover no submission after step 1, where students made some."""

        def later(one: PolicyResults) -> list[float]:
            found = [at["coverage"] for step, at in one.by_step.items() if step > 1]
            return [value.value for value in found if value is not None]

        return tuple(one.name for one in self.policies if later(one) and not any(later(one)))


def collect(
    policies: Sequence[Policy],
    checked: ResultTable,
    *,
    baseline: str | None = None,
    samples: int = 1000,
    splits: int = 5,
    turing_steps: int = 20_000,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Return the report of what `read_policies` gave.

    baseline: the name of the policy that the others are compared with; None takes persistence
    where it was played, else the first. samples: bootstrap draws. splits: as in
    `machine_turing_test`. turing_steps: a run of more records gives that test, whose cost grows
    with them, trajectories drawn at random until it has so many. workers: processes that compute
    CodeBLEU and features. progress: called for the CodeBLEU of each run in turn, then with policies
    done and in all. Raises UsageError for fewer than two students, an unknown baseline, and
    packages that are not installed.
    """
    simulated = [one for one in policies if not one.is_students]
    against = _baseline([one.name for one in simulated], baseline)
    scored: dict[str, list[Run]] = {}
    for one in policies:
        scored[one.name] = [
            score_steps(table, workers=workers, progress=progress) for table in one.tables
        ]
    support = support_table(scored, samples=samples, seed=seed)
    curves = grade_curves({p.name: p.tables for p in policies}, samples=samples, seed=seed)
    results = []
    for place, one in enumerate(policies):
        if progress is not None:
            progress(place, len(policies))
        panel = None
        if not one.is_students:
            some = _some_trajectories(one.tables[0], turing_steps, seed)
            panel = _realism(one, some, samples, splits, seed, workers)
        results.append(
            PolicyResults(
                name=one.name,
                is_students=one.is_students,
                is_trivial=one.is_trivial,
                seeds=one.seeds,
                runs=tuple(run.resolve().name for run in one.runs),
                by_run=tuple(_values(run) for run in scored[one.name]),
                support=support.rows[one.name],
                by_step=step_intervals(scored[one.name], samples=samples, seed=seed),
                curve=curves[one.name],
                realism=panel,
                sampled=_sampled(one, scored[one.name], samples, seed),
            )
        )
    others = [one.name for one in simulated if one.name != against]
    paired_samples = max(samples, DRAWS_A_TEST * len(others) * len(PAIRED))
    first = scored[policies[0].name][0]
    return Report(
        course=checked.course,
        synthetic=checked.synthetic,
        protocol=checked.protocol,
        students=len({one.student_id for one in first}),
        trajectories=len({(one.student_id, one.assignment_id) for one in first}),
        episodes=checked.rows[0].metrics.episodes,
        steps=checked.rows[0].metrics.records,
        policies=tuple(results),
        support=support.support.steps,
        support_share=support.support.share,
        baseline=against if others else None,
        paired=_paired(scored, against, others, paired_samples, seed),
        paired_samples=paired_samples,
        samples=samples,
        seed=seed,
    )


def _values(run: Run) -> dict[str, float | None]:
    metrics = summarize(run)
    values = (metrics.coverage.micro, metrics.grade_proximity.macro, metrics.codebleu.macro)
    return dict(zip(COMPARED, values, strict=True))


def _sampled(policy: Policy, runs: Sequence[Run], samples: int, seed: int) -> SampledScores | None:
    if policy.is_students or len(runs) < 2 or len({one.student_id for one in runs[0]}) < 2:
        return None
    return sampled_scores(runs, samples=samples, seed=seed)


def _baseline(names: Sequence[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in names:
            raise unknown_name("baseline", wanted, names)
        return wanted
    return BASELINE if BASELINE in names else names[0]


def _some_trajectories(records: pa.Table, most: int, seed: int) -> pa.Table:
    """Return the records of so many trajectories, drawn at random, that they are `most`.

    The same trajectories for every policy that was played from the same starts.
    """
    if len(records) <= most:
        return records
    columns = [records.column(name).to_pylist() for name in ("student_id", "assignment_id")]
    keys = list(zip(*columns, strict=True))
    sizes = sorted(Counter(keys).items())
    order = np.random.default_rng([seed, 1]).permutation(len(sizes))
    before = np.cumsum([0, *(sizes[number][1] for number in order)])[:-1]
    chosen = {sizes[number][0] for number, there in zip(order, before, strict=True) if there < most}
    return records.filter(pa.array([key in chosen for key in keys]))


def _realism(
    policy: Policy, some: pa.Table, samples: int, splits: int, seed: int, workers: int
) -> RealismPanel:
    turing, why_not = None, ""
    try:
        turing = machine_turing_test(
            some, splits=splits, samples=samples, seed=seed, workers=workers
        )
    except TooFewError as too_little:
        # A small sample is no reason to have no report.
        why_not = str(too_little)
    transitions, edits = None, None
    try:
        transitions = outcome_transitions(policy.tables, samples=samples, seed=seed)
        edits = edit_distances(policy.tables, samples=samples, seed=seed)
    except TooFewError:
        # Of the first start of a trajectory it is not known what the first step changed.
        pass
    return RealismPanel(
        turing=turing,
        why_not=why_not,
        transitions=transitions,
        edits=edits,
        abandonment=abandonment(policy.tables, samples=samples, seed=seed),
    )


def _paired(
    scored: dict[str, list[Run]], against: str, others: Sequence[str], samples: int, seed: int
) -> tuple[PairedRow, ...]:
    compared = {name: scored[name] for name in (against, *others)}
    views: dict[str, Mapping[str, Sequence[Run]]] = {
        "covered": compared,
        "imputed": {name: [impute(run) for run in runs] for name, runs in compared.items()},
    }
    found: dict[tuple[str, str, str], Difference | None] = {}
    for name in others:
        differences = {
            view: paired_differences(runs[against], runs[name], samples=samples, seed=seed)
            for view, runs in views.items()
        }
        found |= {(name, view, metric): differences[view][metric] for view, metric in PAIRED}
    adjusted = holm({key: one.p for key, one in found.items() if one is not None})
    return tuple(PairedRow(*key, one, adjusted.get(key)) for key, one in found.items())
