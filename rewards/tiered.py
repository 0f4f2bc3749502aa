"""Rewards in tiers: is it the student's next program, does it score what hers scores?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from novicegym.courses.syntax import AST_KINDS, AstKind, compiles, same_ast
from novicegym.errors import UsageError, unknown_name
from novicegym.rewards.base import RewardSpec, Transition

_PUBLISHED_BLOCK = re.compile(r"```python\s*(.*?)```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TieredReward:
    """+2 the student's next program, -1 does not compile, +1 her next grade, 0 otherwise.

    The first that holds counts, so a program that does not compile earns nothing for sharing
    a grade of 0, and a text that does not compile earns +2 when it is the student's own.
    Without a next submission of the student there is only the -1.
    """

    ast: AstKind = "exact"
    """In which sense two programs are the same; see `novicegym.courses.syntax`."""

    @classmethod
    def from_argument(cls, argument: str | None) -> TieredReward:
        for kind in AST_KINDS:
            if argument in (None, kind):
                return cls(kind)
        raise unknown_name("kind of AST match", str(argument), AST_KINDS)

    @property
    def name(self) -> str:
        return "tiered" if self.ast == "exact" else f"tiered:{self.ast}"

    @property
    def range(self) -> tuple[float, float]:
        return -1.0, 2.0

    @property
    def spec(self) -> RewardSpec:
        return self.name

    def __call__(self, transition: Transition) -> float:
        target, verdict = transition.target_code, transition.verdict
        if target is not None and same_ast(transition.code, target, self.ast):
            return 2.0
        if verdict.outcome == "compile":
            return -1.0
        goal = transition.target_verdict
        return 1.0 if goal is not None and verdict.grade == goal.grade else 0.0


@dataclass(frozen=True, slots=True)
class PublishedReward:
    """What the published GRPO code computes, for comparing with its runs.

    -1 without a block fenced as python, -0.5 for a block that does not compile, +2 for the
    student's program after renaming every name, +1 for her grade (ours cut to an integer of
    0-100, hers not), 0 otherwise; then up to half a point off for a long completion, and
    never below -0.75. Block and length are taken from the completion; the grade is that of
    the transition's verdict. Without `completion_tokens` there is no length term.
    """

    max_completion_length: int = 1024
    """Tokens a completion may have; the length term begins at about 86 % of it."""

    @classmethod
    def from_argument(cls, argument: str | None) -> PublishedReward:
        if argument is None:
            return cls()
        if not argument.isascii() or not argument.isdigit() or int(argument[:9]) < 12:
            raise UsageError(
                "the argument of reward 'published' is the longest completion in tokens, "
                f"at least 12, got {argument!r}"
            )
        return cls(int(argument))

    @property
    def name(self) -> str:
        default = self.max_completion_length == PublishedReward().max_completion_length
        return "published" if default else f"published:{self.max_completion_length}"

    @property
    def range(self) -> tuple[float, float]:
        return -0.75, 2.0

    @property
    def spec(self) -> RewardSpec:
        return self.name

    def __call__(self, transition: Transition) -> float:
        return max(self._tier(transition) + 0.5 * self._overlong(transition), -0.75)

    def _tier(self, transition: Transition) -> float:
        block = _PUBLISHED_BLOCK.search(transition.completion)
        if block is None:
            return -1.0
        code = block.group(1).strip()
        if not compiles(code):
            return -0.5
        target, goal = transition.target_code, transition.target_verdict
        if target is not None and same_ast(code, target, "renamed"):
            return 2.0
        if goal is not None:
            scored, wanted = int(100 * transition.verdict.grade), float(100 * goal.grade)
            if abs(scored - wanted) < 1e-6:
                return 1.0
        return 0.0

    def _overlong(self, transition: Transition) -> float:
        """0 up to some length, then falling to -1."""
        if transition.completion_tokens is None:
            return 0.0
        longest = int(0.95 * self.max_completion_length)
        slope = int(0.1 * longest)
        over = transition.completion_tokens - (longest - slope)
        if over <= 0:
            return 0.0
        return -over / slope if over <= slope else -1.0
