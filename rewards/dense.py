"""Dense terms: how near the student's next submission, between 0 and 1.

Without a next submission of the student a term is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from novicegym.rewards.base import RewardSpec, Transition, no_argument
from novicegym.rewards.codebleu import codebleu, require_codebleu


@dataclass(frozen=True, slots=True)
class GradeProximity:
    """1 - |grade - the student's next grade|."""

    @classmethod
    def from_argument(cls, argument: str | None) -> GradeProximity:
        no_argument("grade_proximity", argument)
        return cls()

    @property
    def name(self) -> str:
        return "grade_proximity"

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def spec(self) -> RewardSpec:
        return self.name

    def __call__(self, transition: Transition) -> float:
        if transition.target_verdict is None:
            return 0.0
        return float(1 - abs(transition.verdict.grade - transition.target_verdict.grade))


@dataclass(frozen=True, slots=True)
class CodeBleuReward:
    """The library's CodeBLEU against the student's next submission; needs the eval extra."""

    @classmethod
    def from_argument(cls, argument: str | None) -> CodeBleuReward:
        no_argument("codebleu", argument)
        require_codebleu()
        return cls()

    @property
    def name(self) -> str:
        return "codebleu"

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def spec(self) -> RewardSpec:
        return self.name

    def __call__(self, transition: Transition) -> float:
        if transition.target_code is None:
            return 0.0
        return codebleu(transition.target_code, transition.code).total
