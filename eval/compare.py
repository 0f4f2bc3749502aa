"""Is one policy better than another? By how much, how sure that is, where, and what it looks like.

Both played from the same starts, so students are drawn in pairs: what makes one student easy to
simulate makes her easy for both. Each metric is compared in two views, for grade proximity and
CodeBLEU are means over what a policy covers, and each covers other submissions:

- covered: over the submissions each policy covers itself, as the table shows it
- imputed: over all submissions, one that is not covered counts as 0

Better in one view and worse in the other: then it depends on how what is not covered counts. Better
in one, and it cannot be told in the other, does not say so: that only one of two differences is
sure does not make them different.

Covered: several seeds of each policy, whose mean is compared; p values that hold for all rows
together (Holm). Not covered: preset `published`; degradations, and the values on common support,
which are in `novicegym.eval.support`. Places and examples are where to look, not what is proven:
there are many, and they are picked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import (
    DRAWS_A_TEST,
    METRICS,
    Difference,
    Interval,
    Run,
    holm,
    paired_differences,
    student_intervals,
    sure_sign,
)
from novicegym.eval.metrics import Progress, ScoredStep, score_steps
from novicegym.eval.support import StepKey, common_support, impute, step_key
from novicegym.eval.table import ResultRow, make_table

BETTER, WORSE, UNSURE = "better", "worse", "cannot tell"
DIVIDED, PARTLY = "depends on coverage", "cannot tell in both"

ENOUGH_STUDENTS = 6
"""Without any difference all of them come out on one side in 3 % of all cases; of five, in 6 %.
The interval of fewer says little."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One of the two."""

    agent: str
    seeds: tuple[int, ...]
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of both in one view; a value is None where nothing could be compared."""

    view: str
    metric: str
    first: Interval | None
    second: Interval | None
    difference: Interval | None
    """The second policy's value minus the first's."""
    p: float | None
    """That there is no difference, two-sided, adjusted for all rows."""
    verdict: str
    """Of the second policy: "better", "worse" or "cannot tell"."""


@dataclass(frozen=True, slots=True)
class Place:
    """Some of the episodes, and how far the second policy's grade proximity is above there."""

    by: str
    """"assignment", "position" or "step"."""
    name: str
    students: int
    submissions: int
    difference: Interval
    """Imputed; the interval is of this place alone, not adjusted for their number."""


@dataclass(frozen=True, slots=True)
class Program:
    """A submission; code and grade are None where the policy made none."""

    code: str | None
    grade: float | None


@dataclass(frozen=True, slots=True)
class Example:
    """The first step of one episode."""

    student_id: str
    assignment_id: str
    position: int
    start: Program | None
    """What the policies went on from: submission number `position`. None where the records do
    not hold it."""
    logged: Program
    """What the student did next."""
    first: Program
    second: Program
    first_closeness: float
    """To what the student did: the mean of grade proximity and, where there is one, CodeBLEU;
    0 without a submission."""
    second_closeness: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second of two policies against the first."""

    course: str
    synthetic: bool
    protocol: str
    first: Policy
    second: Policy
    students: int
    episodes: int
    submissions: int
    """Of the students, that the policies should have a counterpart to."""
    common_share: float | None
    """Share of them that all runs cover."""
    rows: tuple[Row, ...]
    places: tuple[Place, ...]
    """By the end of the interval that is nearer to 0, the farthest from it first: what is surely
    different stands before what is by chance. Of two students at least; those of fewer than
    ENOUGH_STUDENTS come last."""
    examples: tuple[Example, ...]
    """Up to three: where the second is furthest ahead, where the first is, and the one in the
    middle of all episodes."""

    @property
    def answer(self) -> dict[str, str]:
        """By metric: the verdict of both views.

        "depends on coverage" where it is better in one and worse in the other, and "cannot tell in
        both" where it is better or worse in one alone.
        """
        verdicts: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            verdicts[row.metric].add(row.verdict)
        return {metric: _together(found) for metric, found in verdicts.items()}

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return asdict(self) | {"answer": self.answer}


def _together(verdicts: set[str]) -> str:
    if {BETTER, WORSE} <= verdicts:
        return DIVIDED
    return PARTLY if len(verdicts) > 1 else next(iter(verdicts))


_Pair: TypeAlias = tuple[Sequence[Run], Sequence[Run]]
"""The scored runs of the first policy and of the second."""


def compare_policies(
    first: Mapping[str, pa.Table],
    second: Mapping[str, pa.Table],
    *,
    with_codebleu: bool = True,
    workers: int = 1,
    samples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Return how the second policy compares with the first.

    first, second: the records of each policy's runs, one a seed, by what to call the run.
    with_codebleu, workers, progress: as in `measure`, for each run in turn. samples, seed: draws
    of students for 95 % intervals, and their seed; the rows' differences take at least
    DRAWS_A_TEST for each. Raises UsageError for runs that no table would show together, runs of
    two agents or of one seed given as one policy's, and fewer than two students. Records do not
    say what else makes a policy, such as its temperature: whoever has the folders asks
    `novicegym.eval.report.policies.check_one_policy`.
    """
    runs = [*first.values(), *second.values()]
    table = make_table(runs, with_codebleu=False)
    policies = [
        _policy(first, table.rows[: len(first)]),
        _policy(second, table.rows[len(first) :]),
    ]
    scored = [
        score_steps(records, with_codebleu=with_codebleu, workers=workers, progress=progress)
        for records in runs
    ]
    filled = [impute(run, with_codebleu=with_codebleu) for run in scored]
    covered = scored[: len(first)], scored[len(first) :]
    imputed = filled[: len(first)], filled[len(first) :]
    metrics = [name for name in METRICS if with_codebleu or not name.startswith("codebleu")]
    return Comparison(
        course=table.course,
        synthetic=table.synthetic,
        protocol=table.protocol,
        first=policies[0],
        second=policies[1],
        students=len({one.student_id for one in scored[0]}),
        episodes=table.rows[0].metrics.episodes,
        submissions=sum(one.has_counterpart for one in scored[0]),
        common_share=common_support(scored).share,
        rows=_rows({"covered": covered, "imputed": imputed}, metrics, samples, seed),
        places=_places(imputed, samples, seed),
        examples=_examples(runs[0], runs[len(first)], imputed),
    )


def _policy(runs: Mapping[str, pa.Table], rows: Sequence[ResultRow]) -> Policy:
    if not rows:
        raise UsageError("a comparison needs at least one run of each policy")
    agents, seeds = sorted({row.agent for row in rows}), [row.seed for row in rows]
    if len(agents) > 1:
        raise UsageError(
            f"{', '.join(runs)} are runs of {agents[0]!r} and {agents[1]!r}; "
            "runs that are taken together differ in their seed alone"
        )
    if len(set(seeds)) < len(seeds):
        raise UsageError(
            f"{', '.join(runs)} have the seeds {', '.join(map(str, seeds))}; "
            "runs that are taken together differ in their seed"
        )
    return Policy(agents[0], tuple(seeds), tuple(runs))


def _rows(
    views: Mapping[str, _Pair], metrics: Sequence[str], samples: int, seed: int
) -> tuple[Row, ...]:
    found: dict[tuple[str, str], tuple[Interval | None, Interval | None, Difference | None]] = {}
    draws = max(samples, DRAWS_A_TEST * len(views) * len(metrics))
    for view, (first, second) in views.items():
        one = student_intervals(first, samples=samples, seed=seed)
        other = student_intervals(second, samples=samples, seed=seed)
        differences = paired_differences(first, second, samples=draws, seed=seed)
        for metric in metrics:
            # Coverage is the same in every view.
            if (metric, view) != ("coverage", "imputed"):
                found[view, metric] = one[metric], other[metric], differences[metric]
    adjusted = holm({key: one.p for key, (_, _, one) in found.items() if one is not None})
    rows = []
    for key, (before, after, difference) in found.items():
        interval = None if difference is None else difference.interval
        p = adjusted.get(key)
        verdict = (UNSURE, BETTER, WORSE)[sure_sign(interval, p)]
        rows.append(Row(*key, before, after, interval, p, verdict))
    return tuple(rows)


_NAME_OF: dict[str, Callable[[ScoredStep], str]] = {
    "assignment": lambda one: one.assignment_id,
    "position": lambda one: str(one.position),
    "step": lambda one: str(one.step),
}


def _places(imputed: _Pair, samples: int, seed: int) -> tuple[Place, ...]:
    places = []
    for by, name_of in _NAME_OF.items():
        there: dict[str, tuple[list[Run], list[Run]]] = defaultdict(lambda: ([], []))
        for side, runs in enumerate(imputed):
            for run in runs:
                groups: dict[str, list[ScoredStep]] = defaultdict(list)
                for one in run:
                    groups[name_of(one)].append(one)
                for name, group in groups.items():
                    there[name][side].append(group)
        for name, (first, second) in there.items():
            students = len({one.student_id for one in first[0]})
            if students < 2:
                continue
            found = paired_differences(first, second, samples=samples, seed=seed)
            difference = found["grade_proximity"]
            assert difference is not None, "imputed values are never missing"
            places.append(Place(by, name, students, len(first[0]), difference.interval))
    return tuple(sorted(places, key=_rank))


def _rank(place: Place) -> tuple[bool, float, float, str, str]:
    few = place.students < ENOUGH_STUDENTS
    far = 0.0 if few else max(place.difference.low, -place.difference.high, 0.0)
    return few, -far, -abs(place.difference.value), place.by, place.name


def _examples(first: pa.Table, second: pa.Table, imputed: _Pair) -> tuple[Example, ...]:
    """Return examples from the first run of each policy; its records are given, too."""
    before, after = ({step_key(one): i for i, one in enumerate(runs[0])} for runs in imputed)
    # Where the rollouts of a trajectory end, later ones begin.
    starts = {
        (student, assignment, position + step): i
        for (student, assignment, position, step), i in before.items()
    }
    begun = [key for key in before if key[3] == 1]
    told = [key for key in begun if key[:3] in starts]

    def closeness(key: StepKey) -> tuple[float, float]:
        return _closeness(imputed[0][0][before[key]]), _closeness(imputed[1][0][after[key]])

    def gain(key: StepKey) -> float:
        one, other = closeness(key)
        return other - one

    ranked = sorted(told or begun, key=lambda key: (gain(key), key))
    chosen = dict.fromkeys((ranked[-1], ranked[0], ranked[len(ranked) // 2]))
    return tuple(
        Example(
            *key[:3],
            start=_program(first, starts[key[:3]], "logged") if key[:3] in starts else None,
            logged=_program(first, before[key], "logged"),
            first=_program(first, before[key], "generated"),
            second=_program(second, after[key], "generated"),
            first_closeness=closeness(key)[0],
            second_closeness=closeness(key)[1],
        )
        for key in chosen
    )


def _closeness(one: ScoredStep) -> float:
    values = [value for value in (one.grade_proximity, one.codebleu) if value is not None]
    return sum(values) / len(values)


_COLUMNS = {
    "logged": ("logged_code", "logged_grade_num", "logged_grade_den"),
    "generated": ("generated_code", "grade_num", "grade_den"),
}


def _program(records: pa.Table, row: int, whose: str) -> Program:
    code, numerator, denominator = (records.column(name)[row].as_py() for name in _COLUMNS[whose])
    return Program(code, None if numerator is None else numerator / denominator)
