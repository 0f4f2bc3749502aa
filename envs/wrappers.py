"""Wrappers that change what the policy reads, never what is graded.

They inherit `RecordConstructorArgs`, so a wrapped environment's spec round-trips through JSON.
"""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from novicegym.dialogs.counters import make_counter
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.dialogs.windows import TokenCounter, fit_prompt
from novicegym.envs.student import StudentEnv
from novicegym.errors import UsageError
from novicegym.grading.feedback import FeedbackLevel


class TokenWindow(gymnasium.ObservationWrapper[Dialog, str, Dialog], RecordConstructorArgs):
    """Cut each dialog to `budget` tokens: the oldest submission and its feedback go first.

    System prompt and assignment always stay (paper, section 5.2), and the tokens that ask the
    model to speak are counted. counter: "words", "hf:PATH" or any `TokenCounter`; only the
    named ones survive JSON. reserve: tokens kept free for the policy's answer. Raises
    UsageError naming the assignment when its prompt alone exceeds the budget.
    """

    def __init__(
        self,
        env: gymnasium.Env[Dialog, str],
        budget: int,
        counter: str | TokenCounter = "words",
        reserve: int = 0,
    ) -> None:
        RecordConstructorArgs.__init__(self, budget=budget, counter=counter, reserve=reserve)
        super().__init__(env)
        self.budget = budget
        self.reserve = reserve
        self.counter = make_counter(counter) if isinstance(counter, str) else counter

    def observation(self, observation: Dialog) -> Dialog:
        """Return the window of the dialog."""
        assignment = student_env(self).episode.start.assignment
        return fit_prompt(
            observation, self.budget, self.counter, assignment.id, reserve=self.reserve
        ).dialog


class FeedbackDetail(gymnasium.ObservationWrapper[Dialog, str, Dialog], RecordConstructorArgs):
    """Show the autograder's feedback at another level; "none" is the paper's PARA.

    It renders the whole dialog anew, so a `TokenWindow` goes around it, not inside.
    """

    def __init__(self, env: gymnasium.Env[Dialog, str], level: FeedbackLevel) -> None:
        RecordConstructorArgs.__init__(self, level=level)
        super().__init__(env)
        self.level = level

    def observation(self, observation: Dialog) -> Dialog:
        """Return the same episode's dialog with feedback at this wrapper's level."""
        episode = student_env(self).episode
        fmt = DialogFormat(code=episode.rules.format.code, feedback=self.level)
        return episode.dialog(fmt)


def student_env(env: gymnasium.Env[Any, Any]) -> StudentEnv:
    """Return the `StudentEnv` at the bottom of a stack of wrappers."""
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, StudentEnv):
        raise UsageError(f"this wrapper needs a StudentEnv, got {type(unwrapped).__name__}")
    return unwrapped
