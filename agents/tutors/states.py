"""Which states a tutor of ours speaks in: those with a program that failed and can be read.

A state is what the environment says of it in the info: whose it is, on what, and the last
submission with its verdict. The dialog is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from novicegym.agents.correct_programs import LONGEST_ALIGNED

State: TypeAlias = Mapping[str, Any]
"""An info dict, see `Agent.act`."""


def has_failed(state: State) -> bool:
    """Whether a submission was made and graded, and was not fully correct."""
    return state["outcome"] not in ("", "correct")


def is_comparable(state: State) -> bool:
    """Whether the submission failed and holds something to compare, and not too much."""
    code = state["code"]
    return has_failed(state) and bool(code.strip()) and len(code) <= LONGEST_ALIGNED


def messages(
    states: Sequence[State], when: Callable[[State], bool], say: Callable[[State], str]
) -> list[str]:
    """Return what is said in each state, "" where there is nothing to say."""
    return [say(state) if when(state) else "" for state in states]
