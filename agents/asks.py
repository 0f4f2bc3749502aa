"""When a student asks for a hint: a logistic model small enough to be read.

After each submission that is not correct, a student asks for a hint or tries again. The policy
says with what probability she asks, from what is visible then: her submissions so far with their
grades and outcomes, whether she asked before, and how hard the assignment is. Eleven weights
and an intercept, kept as plain numbers: `novicegym.eval.asking_model` fits them on logs,
`novicegym.eval.asking` says how well calibrated they are. `ITAP` is the policy of the ITAP logs,
whose calibration is in docs/tutors.md.

Covered: asking after a submission, at most once. Not covered: asking before the first submission,
several requests in a row, and what her program looks like while she edits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import Any

from novicegym.errors import UsageError

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "compile": "1 if the submission does not compile, else 0",
        "runtime": "1 if it raises an error",
        "stopped": "1 if it runs out of time or memory, or is refused",
        "grade": "its grade, in [0, 1]",
        "attempts": "base-2 logarithm of the number of submissions so far",
        "stuck": "base-2 logarithm of 1 + the last submissions in a row that beat no earlier grade",
        "same_code": "1 if the code is the last submission's again, white space around it aside",
        "edit": "share of the characters changed since the last submission; 0 for the first",
        "asked_here": "1 if she asked before on this assignment",
        "asked_elsewhere": "1 if she asked before on another assignment",
        "difficulty": "share of other students whose first submission to the assignment is wrong",
    }
)
"""What the policy looks at. An outcome of none of the first three is a logical error."""

_STOPPED = ("timeout", "memory", "refused")

_MOST_WORK = 3_000_000
"""Steps of comparing two programs, about 0.2 s; two of 1,000 characters with nothing in common take
a third of them."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One submission, as far as asking depends on it."""

    code: str
    grade: float
    outcome: str


def visible(
    attempts: Sequence[Attempt],
    *,
    asked_here: bool,
    asked_elsewhere: bool,
    difficulty: float,
    unseen: int = 0,
) -> tuple[float, ...]:
    """Return the values of FEATURES after the last of `attempts`, oldest first.

    unseen: submissions made before these, known by number alone. Raises UsageError where there
    is no attempt.
    """
    if not attempts:
        raise UsageError("asking is modelled after a submission, and there is none")
    last = attempts[-1]
    edit, same = 0.0, False
    if len(attempts) > 1:
        before, now = attempts[-2].code.strip(), last.code.strip()
        same = before == now
        edit = 1.0 - _likeness(before, now)
    return (
        float(last.outcome == "compile"),
        float(last.outcome == "runtime"),
        float(last.outcome in _STOPPED),
        float(last.grade),
        math.log2(unseen + len(attempts)),
        math.log2(1 + _without_a_better_grade(attempts)),
        float(same),
        edit,
        float(asked_here),
        float(asked_elsewhere),
        difficulty,
    )


def _likeness(before: str, now: str) -> float:
    """Return difflib's ratio of the two, which is at worst a matter of the cube of their lengths.

    Past `_MOST_WORK` steps, what is still to be compared is so but for its common ends by how
    often each character is there, wherever it stands.
    """
    if not before and not now:
        return 1.0
    matcher = SequenceMatcher(None, before, now, autojunk=False)
    places = Counter(now)
    work = same = 0
    waiting = [(0, len(before), 0, len(now))]
    while waiting:
        first, last, begin, end = waiting.pop()
        work += last - first + sum(places[one] for one in before[first:last])
        if work > _MOST_WORK:
            same += _common(before[first:last], now[begin:end])
            continue
        match = matcher.find_longest_match(first, last, begin, end)
        if match.size:
            same += match.size
            waiting += [
                (first, match.a, begin, match.b),
                (match.a + match.size, last, match.b + match.size, end),
            ]
    return 2.0 * same / (len(before) + len(now))


def _common(one: str, other: str) -> int:
    """Return how many characters two texts share at their ends, and between these in any order."""
    head = _same_at_first(one, other)
    one, other = one[head:], other[head:]
    tail = _same_at_first(one[::-1], other[::-1])
    middle = Counter(one[: len(one) - tail]) & Counter(other[: len(other) - tail])
    return head + tail + middle.total()


def _same_at_first(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _without_a_better_grade(attempts: Sequence[Attempt]) -> int:
    """Return how many of the last submissions did not beat all those before them."""
    best, since = attempts[0].grade, 0
    for attempt in attempts[1:]:
        since = 0 if attempt.grade > best else since + 1
        best = max(best, attempt.grade)
    return since


@dataclass(frozen=True, slots=True)
class AsksPolicy:
    """Says with what probability a student asks for a hint after a submission."""

    intercept: float
    weights: Mapping[str, float]
    """Log-odds per unit of each of FEATURES."""
    difficulty: float = 0.5
    """Of an assignment that the policy does not know."""
    difficulties: Mapping[str, float] = field(default_factory=dict)
    """By assignment id, as FEATURES says."""

    def __post_init__(self) -> None:
        if set(self.weights) != set(FEATURES):
            wrong = sorted(set(self.weights) ^ set(FEATURES))
            raise UsageError(f"a policy has a weight for each feature; check {', '.join(wrong)}")

    def probability(
        self,
        assignment_id: str,
        attempts: Sequence[Attempt],
        *,
        asked_here: bool = False,
        asked_elsewhere: bool = False,
        unseen: int = 0,
    ) -> float:
        """Return the probability that she asks after the last of `attempts`, oldest first.

        unseen: submissions made before these, known by number alone. 0 after a correct
        submission. Raises UsageError where there is no attempt.
        """
        values = visible(
            attempts,
            asked_here=asked_here,
            asked_elsewhere=asked_elsewhere,
            difficulty=self.difficulties.get(assignment_id, self.difficulty),
            unseen=unseen,
        )
        if attempts[-1].outcome == "correct":
            return 0.0
        terms = (self.weights[name] * x for name, x in zip(FEATURES, values, strict=True))
        return logistic(self.intercept + math.fsum(terms))

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data; `from_json` inverts it."""
        return {
            "intercept": self.intercept,
            "weights": dict(self.weights),
            "difficulty": self.difficulty,
            "difficulties": dict(self.difficulties),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AsksPolicy:
        """Inverse of `to_json`."""
        return cls(**data)


ITAP = AsksPolicy(
    intercept=-2.490,
    weights=MappingProxyType(
        {
            "compile": -0.238,
            "runtime": 0.329,
            "stopped": 0.916,
            "grade": -0.657,
            "attempts": -0.095,
            "stuck": -0.005,
            "same_code": 0.554,
            "edit": 0.318,
            "asked_here": 1.045,
            "asked_elsewhere": 0.126,
            "difficulty": -0.020,
        }
    ),
    difficulty=0.520,
)
"""Fitted by benchmarks/hint_requests.py on the public part of the ITAP logs: 60 students, 1,422
states, 131 with a request. Of students it has not seen it says little more than the base rate: a
place to start from, not how students at large ask."""


def logistic(odds: float) -> float:
    """Return the probability whose logarithm of odds is given, for any finite number."""
    if odds >= 0:
        return 1.0 / (1.0 + math.exp(-odds))
    return math.exp(odds) / (1.0 + math.exp(odds))
