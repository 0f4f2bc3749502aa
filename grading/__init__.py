"""The grader: programs in, verdicts out. Usable alone; docs/grading.md is its page.

    from novicegym.grading import Grader, Limits, check_sandbox

Names are imported when first used, so that importing a module of this room stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novicegym.grading.check import SandboxReport, check_sandbox
    from novicegym.grading.feedback import render_feedback
    from novicegym.grading.grader import Grader, shared_grader
    from novicegym.grading.limits import Limits
    from novicegym.grading.store import VerdictStore, default_store
    from novicegym.grading.verdict import CaseResult, Verdict

__all__ = [
    "CaseResult",
    "Grader",
    "Limits",
    "SandboxReport",
    "Verdict",
    "VerdictStore",
    "check_sandbox",
    "default_store",
    "render_feedback",
    "shared_grader",
]

_MODULES = {
    "check": ("SandboxReport", "check_sandbox"),
    "feedback": ("render_feedback",),
    "grader": ("Grader", "shared_grader"),
    "limits": ("Limits",),
    "store": ("VerdictStore", "default_store"),
    "verdict": ("CaseResult", "Verdict"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
