"""Wrappers that change what the policy reads, never what is graded.

They inherit `RecordConstructorArgs`, so a wrapped environment's spec round-trips through JSON.
"""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.dialogs.windows import TokenCounter, fit_window
from novicegym.envs.student import StudentEnv
from novicegym.errors import UsageError
from novicegym.grading.feedback import FeedbackLevel


class TokenWindow(gymnasium.ObservationWrapper[Dialog, str, Dialog], RecordConstructorArgs):
    """Cut each dialog to `budget` tokens: the oldest submission and its feedback go first.

    System prompt and assignment always stay (paper, section 5.2). Raises UsageError naming the
    assignment when those alone exceed the budget.
    """

    def __init__(self, env: gymnasium.Env[Dialog, str], budget: int, counter: TokenCounter) -> None:
        RecordConstructorArgs.__init__(self, budget=budget, counter=counter)
        super().__init__(env)
        if budget < 1:
            raise UsageError(f"budget must be at least 1 token, got {budget}")
        self.budget = budget
        self.counter = counter

    def observation(self, observation: Dialog) -> Dialog:
        """Return the window of the dialog."""
        window = fit_window(observation, self.budget, self.counter)
        if window is None:
            raise UsageError(
                f"the prompt of assignment {student_env(self).episode.start.assignment.id!r} "
                f"alone exceeds the budget of {self.budget} tokens; raise the budget"
            )
        return window.dialog


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
