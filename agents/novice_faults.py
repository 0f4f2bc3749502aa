"""What is wrong with a program: its differences from the nearest correct one.

A fault is a run of lines to be replaced, cut as small as lines allow, so that mending one is
what a student changes between two submissions. Nothing needs to parse.

Covered: nearest known program, faults by line, mending a whole fault or one difference
inside a line. Not covered: faults as an expert would name them; two bugs in one line are one
fault, and a bug that moved a line is two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from novicegym.agents.novice_source import indent_of, lex

_NEAREST_TRIED = 4


class Fault(NamedTuple):
    """Lines [start, end) of the code, counted from 0, and the lines to stand there."""

    start: int
    end: int
    lines: tuple[str, ...]


@lru_cache(maxsize=4096)
def words(code: str) -> tuple[str, ...]:
    """Return the lexemes of a program that count when two are compared."""
    return tuple(token.text for token in lex(code) if token.kind not in ("space", "comment"))


def likeness(a: str, b: str) -> float:
    """Return how alike two programs are, in [0, 1], by their lexemes in order."""
    return SequenceMatcher(None, words(a), words(b), autojunk=False).ratio()


def nearest(code: str, programs: Sequence[str]) -> str | None:
    """Return the program most like `code`; the first of equals; None without programs."""
    if len(programs) < 2:
        return programs[0] if programs else None
    own = Counter(words(code))

    def shared(program: str) -> float:
        lexemes = Counter(words(program))
        return (own & lexemes).total() / max(1, own.total() + lexemes.total())

    # Aligning is quadratic; shared lexemes bound it from above and leave few to align.
    few = sorted(programs, key=lambda program: -shared(program))[:_NEAREST_TRIED]
    return min(few, key=lambda program: -likeness(program, code))


def find_faults(code: str, target: str) -> list[Fault]:
    """Return what must change for `code` to become `target`, blank lines and comments apart."""
    mine, wanted = _lines(code), _lines(target)
    faults: list[Fault] = []
    matcher = SequenceMatcher(None, mine, wanted, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            continue
        if b - a == d - c:
            for i in range(b - a):
                line = Fault(a + i, a + i + 1, (wanted[c + i],))
                if i > 0 and _shifts(mine, faults[-1]) and _shifts(mine, line):
                    last = faults.pop()
                    line = Fault(last.start, line.end, last.lines + line.lines)
                faults.append(line)
        else:
            faults.append(Fault(a, b, tuple(wanted[c:d])))
    return [fault for fault in faults if _matters(mine, fault)]


def mend(code: str, faults: Sequence[Fault]) -> str:
    """Return `code` with these faults replaced."""
    lines = _lines(code)
    for fault in sorted(faults, reverse=True):
        lines[fault.start : fault.end] = fault.lines
    return "\n".join(lines) + "\n"


def gap(fault: Fault, line: int) -> int:
    """Return how many lines a 1-based line is away from a fault.

    0 at its lines; where lines are missing, at those above and below.
    """
    if fault.start < line <= fault.end:
        return 0
    return min(abs(fault.start + 1 - line), abs(fault.end - line))


def differences(line: str, wanted: str) -> list[str]:
    """Return `line` with one difference from `wanted` removed, for every difference."""
    mine, theirs = ([token.text for token in lex(text)] for text in (line, wanted))
    found = []
    for tag, a, b, c, d in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        if tag != "equal":
            found.append("".join([*mine[:a], *theirs[c:d], *mine[b:]]))
    return found


def _lines(code: str) -> list[str]:
    return [line.rstrip() for line in code.rstrip().split("\n")]


def _shifts(mine: Sequence[str], fault: Fault) -> bool:
    """Whether a fault gives its last line another indentation: a block is moved as a whole."""
    if fault.start == fault.end or not fault.lines:
        return False
    return indent_of(mine[fault.end - 1]) != indent_of(fault.lines[-1])


def _matters(mine: Sequence[str], fault: Fault) -> bool:
    def bare(lines: Sequence[str]) -> list[str]:
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

    return bare(mine[fault.start : fault.end]) != bare(fault.lines)
