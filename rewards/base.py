"""What an action is worth: rewards as pure functions of one transition, composed by weights.

Here for the student's chair; `novicegym.rewards.tutoring` does the same with `compose` for the
tutor's. The `spec` of a reward of this package is a name, a name with one argument ("tiered:alpha",
"published:2048") or an object of such names and weights; it is JSON-able and
`make_reward(reward.spec)` is that reward again, in any process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from novicegym.errors import UsageError, unknown_name
from novicegym.grading.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Transition:
    """One submission of a policy, and what the student did instead."""

    code: str
    """The program taken from the completion."""
    verdict: Verdict
    """The judgement of `code`."""
    target_code: str | None
    """The student's next submission; None in free play and past the end of the log."""
    target_verdict: Verdict | None
    previous_code: str | None
    """The submission before this one; None at the start."""
    completion: str
    """All that the policy said."""
    completion_tokens: int | None = None
    """Length of the completion in the policy's tokens; None where there is no tokenizer."""


RewardSpec: TypeAlias = str | dict[str, float]


T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Scored(Protocol[T_contra]):
    """A number for a transition of some kind, always within `range`."""

    @property
    def name(self) -> str: ...
    @property
    def range(self) -> tuple[float, float]: ...
    def __call__(self, transition: T_contra) -> float: ...


class Reward(Scored[Transition], Protocol):
    """A number for a submission, always within `range`."""


@dataclass(frozen=True, slots=True)
class WeightedReward(Generic[T]):
    """The weighted sum of other rewards."""

    parts: tuple[tuple[Scored[T], float], ...]

    @property
    def name(self) -> str:
        return " + ".join(f"{weight:g} {part.name}" for part, weight in self.parts)

    @property
    def range(self) -> tuple[float, float]:
        ends = [sorted(weight * end for end in part.range) for part, weight in self.parts]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    @property
    def spec(self) -> RewardSpec:
        return {part.name: weight for part, weight in self.parts}

    def __call__(self, transition: T) -> float:
        return sum(weight * part(transition) for part, weight in self.parts)


@dataclass(frozen=True, slots=True)
class NoReward:
    """Always 0, for episodes played to see what happens; no spec names it."""

    name: str = "none"
    range: tuple[float, float] = (0.0, 0.0)

    def __call__(self, transition: Transition) -> float:
        return 0.0


def make_reward(spec: str | Mapping[str, float] | Reward) -> Reward:
    """Return the reward a spec names; a reward is returned as it is.

    Raises UsageError for an unknown name, an argument a reward does not take, a weight that
    is not a finite number, or what is no reward at all.
    """
    return compose(spec, _rewards(), "reward", example="tiered")


R = TypeVar("R", bound=Scored[Any])


def compose(
    spec: str | Mapping[str, float] | R,
    known: Mapping[str, Callable[[str | None], R]],
    noun: str,
    *,
    example: str,
) -> R | WeightedReward[Any]:
    """Return the reward that `spec` names, or the weighted sum of those it names.

    known: what makes a reward of each name of its argument, None where there is none. noun: what
    the errors call such a reward. Raises UsageError as `make_reward` does.
    """
    if isinstance(spec, str):
        return _named(spec, known, noun)
    if not isinstance(spec, Mapping):
        if not callable(spec):
            raise UsageError(
                f"a {noun} is a name, an object of names and weights, or a "
                f"{noun.title().replace(' ', '')}, got {spec!r}"
            )
        return spec
    if not spec:
        raise UsageError(f"a {noun} needs at least one part, got none; try {{{example!r}: 1.0}}")
    for name, weight in spec.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise UsageError(f"the weight of {noun} {name!r} must be a number, got {weight!r}")
        if not math.isfinite(weight):
            raise UsageError(f"the weight of {noun} {name!r} must be finite, got {weight}")
    parts = tuple((_named(name, known, noun), float(weight)) for name, weight in spec.items())
    names = [part.name for part, _ in parts]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{noun} {name!r} is named twice; add up its weights")
    return WeightedReward(parts)


def _named(spec: str, known: Mapping[str, Callable[[str | None], R]], noun: str) -> R:
    name, colon, argument = spec.partition(":")
    if name not in known:
        raise unknown_name(noun, name, known)
    make = known[name]
    return make(argument if colon else None)


def _rewards() -> dict[str, Callable[[str | None], Reward]]:
    # Here and not above: their modules import this one.
    from novicegym.rewards.dense import CodeBleuReward, GradeProximity
    from novicegym.rewards.tiered import PublishedReward, TieredReward

    return {
        "tiered": TieredReward.from_argument,
        "published": PublishedReward.from_argument,
        "grade_proximity": GradeProximity.from_argument,
        "codebleu": CodeBleuReward.from_argument,
    }


def no_argument(name: str, argument: str | None, noun: str = "reward") -> None:
    """Raise UsageError when a reward without arguments is given one."""
    if argument is not None:
        raise UsageError(f"{noun} {name!r} takes no argument, got {argument!r}")
