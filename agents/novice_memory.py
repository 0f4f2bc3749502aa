"""What a simulated beginner takes from one assignment to the next: misconceptions she got over.

Where a tutor's message has pointed at a fault that one of her misconceptions makes, and her next
submission is without that fault and has lost nothing that was right, the misconception may be gone
(`Process.cure`): on the next assignment its bugs are not made. Copying a program cures nothing, for
she has mended nothing herself, and neither does a repair that no tutor has pointed at: what
students learn without a tutor is no part of this model, so silence has no effect to find.

All of this is assumed, as what `novice_listening` says is.

Covered: one message and the submission after it. Not covered: forgetting, skills that grow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from novicegym.agents.novice_faults import Fault, find_faults, mend, nearest, words
from novicegym.agents.novice_listening import belief, change, listen
from novicegym.agents.novice_process import at_loop
from novicegym.agents.novice_source import indent_of
from novicegym.agents.novice_student import Novice, Process, Shown


def overcome(
    novice: Novice,
    submitted: Sequence[str],
    shown: Shown,
    programs: Sequence[str],
    after: str,
    rng: np.random.Generator,
    process: Process,
) -> str | None:
    """Return the misconception whose fault a message pointed at and which is mended in `after`.

    The other arguments are those of `novice_process.next_submission`, which made `after` of them.
    """
    code = submitted[-1]
    target = nearest(code, programs)
    if target is None or not any(shown.hint):
        return None
    faults = find_faults(code, target)
    looked = at_loop(shown, code)
    fault = listen(novice, submitted, looked, target, faults, rng.spawn(1)[0], process).fault
    if fault is None:
        return None
    return belief(novice, code, fault, target) if _is_mended(code, fault, after, target) else None


def _is_mended(code: str, fault: Fault, after: str, target: str) -> bool:
    """Whether the fault is gone and nothing with it that was right."""
    made = change(code, fault)
    if any(change(after, left) == made for left in find_faults(after, target)):
        return False
    return _lines(mend(code, [fault])) & _lines(target) <= _lines(after)


def _lines(code: str) -> Counter[tuple[str, tuple[str, ...]]]:
    """Return the lines that say something, by indentation and lexemes."""
    lines = ((indent_of(line), words(line.strip())) for line in code.split("\n"))
    return Counter((indent, lexemes) for indent, lexemes in lines if lexemes)
