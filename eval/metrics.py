"""Coverage, grade proximity and CodeBLEU of a run: functions of its episode records alone.

Definitions are the paper's section 5.3, for each step k of the rollouts:

- coverage_k         share of the students' submissions that the policy has a counterpart to
- grade_proximity_k  mean of 1 - |grade - the student's grade| over those that have one
- codebleu_k         mean CodeBLEU over those that have one, the student's code as reference
- degradation        mean over the later steps of m_k - m_1

Over all steps, `micro` is the value over all rows and `macro` the plain mean of the values
per step; nothing is rounded. Every submission counts, a blank one too: the autograder judged
it and the rollout went on. Preset `published` computes what the released code does: grades
rounded to integers of 0-100, values per step rounded to 3 decimals before they are averaged,
and a blank text or one like `exit()` counted as no submission.

Covered: one run of one policy. Not covered: confidence intervals, and comparing runs, which
is `novicegym.eval.table`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeAlias

import pyarrow as pa

from novicegym.errors import UsageError, unknown_name
from novicegym.eval.records import columns
from novicegym.rewards.codebleu import CodeBleu, codebleu, require_codebleu

PRESETS = ("paper", "published")

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (pairs of programs compared, pairs in all)."""

_COLUMNS = (
    "student_id",
    "assignment_id",
    "position",
    "step",
    "logged_code",
    "logged_grade_num",
    "logged_grade_den",
    "generated_code",
    "grade_num",
    "grade_den",
)


@dataclass(frozen=True, slots=True)
class ScoredStep:
    """One record, scored."""

    student_id: str
    assignment_id: str
    position: int
    step: int
    has_counterpart: bool
    """The student made a submission here. In preset `published` an empty one is none."""
    has_code: bool
    """The policy made a submission here."""
    logged_grade: float | None
    """In [0, 1]; in preset `published` rounded to hundredths."""
    grade: float | None
    grade_proximity: float | None
    """None unless both made a submission, like the two CodeBLEU values."""
    codebleu: float | None
    """The library's number."""
    codebleu_corrected: float | None
    solved: bool
    """The rollout this is a step of had a fully correct submission; in preset `published`,
    at its last recorded step."""

    @property
    def valid(self) -> bool:
        """Whether there are two submissions to compare."""
        return self.has_counterpart and self.has_code


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """All rollouts at one step; a value is None where nothing can be compared."""

    step: int
    records: int
    counterparts: int
    generated: int
    valid: int
    coverage: float | None
    grade_proximity: float | None
    codebleu: float | None
    codebleu_corrected: float | None


@dataclass(frozen=True, slots=True)
class Average:
    """One metric over all steps; None where there is nothing to average."""

    micro: float | None
    macro: float | None
    degradation: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a run scores."""

    preset: str
    episodes: int
    records: int
    steps: tuple[StepMetrics, ...]
    coverage: Average
    grade_proximity: Average
    codebleu: Average
    codebleu_corrected: Average


def measure(
    records: pa.Table,
    preset: str = "paper",
    *,
    with_codebleu: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> Metrics:
    """Return the metrics of one run's episode records.

    with_codebleu: False leaves CodeBLEU None, for where its package is not installed.
    workers: processes that compute CodeBLEU; the result does not depend on it. Raises
    UsageError for an unknown preset, a missing column or a step of a rollout held twice.
    """
    scored = score_steps(
        records, preset, with_codebleu=with_codebleu, workers=workers, progress=progress
    )
    return summarize(scored, preset)


def score_steps(
    records: pa.Table,
    preset: str = "paper",
    *,
    with_codebleu: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[ScoredStep]:
    """Return every record scored, in the order of the table. Errors as in `measure`."""
    published = _is_published(preset)
    rows = [
        dict(zip(_COLUMNS, values, strict=True))
        for values in zip(*columns(records, _COLUMNS), strict=True)
    ]
    if any(row["logged_code"] is None for row in rows):
        raise UsageError(
            "the records go on where students had made their last submission, as those of protocol "
            "'trial' do: there is nothing to compare with; `novicegym tutor compare` reads them"
        )
    _check_unique(rows)
    solved = _solved_rollouts(rows, published)
    counterparts = [not published or bool(row["logged_code"]) for row in rows]
    codes = [_has_code(row["generated_code"], published) for row in rows]
    pairs = [
        (row["logged_code"], row["generated_code"]) if counterpart and code else None
        for row, counterpart, code in zip(rows, counterparts, codes, strict=True)
    ]
    scores = _codebleu_of(filter(None, pairs), workers, progress) if with_codebleu else {}
    steps = []
    for row, counterpart, code, pair in zip(rows, counterparts, codes, pairs, strict=True):
        logged = _grade(row["logged_grade_num"], row["logged_grade_den"], published)
        grade = _grade(row["grade_num"], row["grade_den"], published)
        score = None if pair is None else scores.get(pair)
        steps.append(
            ScoredStep(
                student_id=row["student_id"],
                assignment_id=row["assignment_id"],
                position=row["position"],
                step=row["step"],
                has_counterpart=counterpart,
                has_code=code,
                logged_grade=logged,
                grade=grade,
                grade_proximity=None if pair is None else _proximity(grade, logged),
                codebleu=None if score is None else score.total,
                codebleu_corrected=None if score is None else score.corrected,
                solved=_rollout(row) in solved,
            )
        )
    return steps


def _is_published(preset: str) -> bool:
    if preset not in PRESETS:
        raise unknown_name("metrics preset", preset, PRESETS)
    return preset == "published"


_Row: TypeAlias = dict[str, Any]
_Rollout: TypeAlias = tuple[str, str, int]


def _rollout(row: _Row) -> _Rollout:
    return row["student_id"], row["assignment_id"], row["position"]


def _check_unique(rows: list[_Row]) -> None:
    seen: set[tuple[_Rollout, int]] = set()
    for row in rows:
        key = (_rollout(row), row["step"])
        if key in seen:
            student, assignment, position = key[0]
            raise UsageError(
                f"the records hold step {key[1]} of student {student!r}, assignment "
                f"{assignment!r}, position {position} twice; measure one run at a time"
            )
        seen.add(key)


def _solved_rollouts(rows: list[_Row], published: bool) -> set[_Rollout]:
    deciding = rows
    if published:
        last: dict[_Rollout, _Row] = {}
        for row in rows:
            if _rollout(row) not in last or row["step"] > last[_rollout(row)]["step"]:
                last[_rollout(row)] = row
        deciding = list(last.values())
    return {
        _rollout(row)
        for row in deciding
        if row["grade_num"] is not None and row["grade_num"] == row["grade_den"]
    }


def summarize(scored: Sequence[ScoredStep], preset: str = "paper") -> Metrics:
    """Return the metrics of scored records."""
    published = _is_published(preset)
    by_step: dict[int, list[ScoredStep]] = defaultdict(list)
    for one in scored:
        by_step[one.step].append(one)
    steps = tuple(_step_metrics(k, by_step[k], published) for k in sorted(by_step))
    valid = sum(one.valid for one in steps)
    counterparts = sum(one.counterparts for one in steps)

    def average(micro: float | None, values: list[float | None]) -> Average:
        macro = _mean(values)
        first = values[0] if values and steps[0].step == 1 else None
        losses = [value - first for value in values[1:] if value is not None and first is not None]
        degradation = _mean(losses)
        if published:
            return Average(_round3(micro), _round3(macro), _round3(degradation))
        return Average(micro, macro, degradation)

    return Metrics(
        preset=preset,
        episodes=len({(one.student_id, one.assignment_id, one.position) for one in scored}),
        records=len(scored),
        steps=steps,
        coverage=average(
            valid / counterparts if counterparts else None, [one.coverage for one in steps]
        ),
        grade_proximity=average(
            _mean(one.grade_proximity for one in scored), [one.grade_proximity for one in steps]
        ),
        codebleu=average(_mean(one.codebleu for one in scored), [one.codebleu for one in steps]),
        codebleu_corrected=average(
            _mean(one.codebleu_corrected for one in scored),
            [one.codebleu_corrected for one in steps],
        ),
    )


def _step_metrics(step: int, scored: list[ScoredStep], published: bool) -> StepMetrics:
    counterparts = sum(one.has_counterpart for one in scored)
    valid = sum(one.valid for one in scored)
    coverage = valid / counterparts if counterparts else None
    proximity = _mean(one.grade_proximity for one in scored)
    score = _mean(one.codebleu for one in scored)
    corrected = _mean(one.codebleu_corrected for one in scored)
    if published:
        coverage, proximity = _round3(coverage), _round3(proximity)
        score, corrected = _round3(score), _round3(corrected)
    return StepMetrics(
        step=step,
        records=len(scored),
        counterparts=counterparts,
        generated=sum(one.has_code for one in scored),
        valid=valid,
        coverage=coverage,
        grade_proximity=proximity,
        codebleu=score,
        codebleu_corrected=corrected,
    )


def _has_code(generated: str | None, published: bool) -> bool:
    if generated is None or not published:
        return generated is not None
    text = generated.strip()
    return text not in ("", "exit", "...") and not text.lower().startswith("exit()")


def _grade(numerator: int | None, denominator: int | None, published: bool) -> float | None:
    if numerator is None or denominator is None:
        return None
    return round(100 * numerator / denominator) / 100 if published else numerator / denominator


def _proximity(grade: float | None, logged: float | None) -> float | None:
    return None if grade is None or logged is None else 1 - abs(grade - logged)


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values there are, whatever their order."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def _round3(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


_Pair: TypeAlias = tuple[str, str]


def _codebleu_of(
    wanted: Iterable[_Pair], workers: int, progress: Progress | None
) -> dict[_Pair, CodeBleu]:
    """Return the score of each distinct (reference, prediction)."""
    pairs = sorted(set(wanted))  # neighbours share the reference, which is parsed once
    if pairs:
        require_codebleu()
    scores: dict[_Pair, CodeBleu] = {}
    if workers > 1 and len(pairs) > 1:
        # Not forked: a caller may have threads, and pyarrow has.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for pair, score in zip(pairs, pool.map(_score, pairs, chunksize=64), strict=True):
                scores[pair] = score
                if progress is not None:
                    progress(len(scores), len(pairs))
        return scores
    for pair in pairs:
        scores[pair] = _score(pair)
        if progress is not None:
            progress(len(scores), len(pairs))
    return scores


def _score(pair: _Pair) -> CodeBleu:
    return codebleu(*pair)
