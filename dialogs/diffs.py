r"""Unified diffs between two programs: writing small ones, applying what a model wrote.

A program is the list of its lines between "\n" characters, so a final newline is an empty last
line and "\ No newline at end of file" is never needed: `apply_diff(a, make_diff(a, b)) == b` for
any two texts. File names are left out.

Covered in applying: wrong or missing line numbers, missing `@@` headers, file headers, white
space lost or added at line ends, lost indentation of unchanged lines, a lost final newline,
up to two wrong context lines at either end. All hunks apply or none. Not covered: several files,
hunks out of order. Linear when line numbers are right, else hunks times length of the program.
"""

from __future__ import annotations

import bisect
import difflib
import re
from dataclasses import dataclass
from itertools import accumulate

CONTEXT_LINES = 2
"""Enough to find the place again when the line numbers are wrong, and short."""
MOST_HUNKS = 3
"""A change in more places than this is no small edit."""
LONGEST_DIFFED = 2000
"""In lines; difflib's time grows with the square."""
_MOST_SEARCHES = 200
"""Hunks looked for elsewhere than at their stated line, before the diff counts as wrong."""
_HEADER = re.compile(r"@@\s*-(\d{1,9})(?:,(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class _Hunk:
    start: int | None
    """Index of its first line in the old program, when stated."""
    lines: list[tuple[str, str]]
    """(" ", "-" or "+", text)"""

    @property
    def old(self) -> list[str]:
        """The lines it expects to find."""
        return [text for mark, text in self.lines if mark != "+"]

    def trimmed(self, most: int) -> _Hunk:
        """Return the hunk with at most `most` unchanged lines taken off at either end."""
        marks = [mark for mark, _ in self.lines]
        head = min(most, next(i for i, mark in enumerate(marks) if mark != " "))
        tail = min(most, next(i for i, mark in enumerate(reversed(marks)) if mark != " "))
        start = None if self.start is None else self.start + head
        return _Hunk(start, self.lines[head : len(self.lines) - tail])


def make_diff(previous: str, code: str) -> str:
    """Return the unified diff that turns `previous` into `code`; "" when they are equal."""
    lines = difflib.unified_diff(
        previous.split("\n"), code.split("\n"), n=CONTEXT_LINES, lineterm=""
    )
    return "\n".join(list(lines)[2:])  # the first two name the files


def small_diff(previous: str, code: str) -> str | None:
    """Return the diff where it is the shorter way to say `code`, None where the program is.

    Our rule: one to three hunks, and fewer than half as many characters as the program.
    """
    if max(previous.count("\n"), code.count("\n")) >= LONGEST_DIFFED:
        return None
    diff = make_diff(previous, code)
    hunks = sum(line.startswith("@@") for line in diff.split("\n"))
    return diff if 1 <= hunks <= MOST_HUNKS and 2 * len(diff) < len(code) else None


def apply_diff(previous: str, diff: str) -> str | None:
    """Return `previous` changed as `diff` says, or None when a hunk has no place in it."""
    if not diff.strip():
        return previous
    hunks = _read_hunks(diff)
    if not hunks:
        return None
    program = _Program(previous.split("\n"))
    result: list[str] = []
    done = 0
    for hunk in hunks:
        found = program.locate(hunk, done)
        if found is None:
            return None
        placed, start = found
        result.extend(program.lines[done:start])
        done = start
        for mark, text in placed.lines:
            if mark == "+":
                result.append(text)
                continue
            if mark == " ":
                result.append(program.lines[done])  # her own line, not the model's copy
            done += 1
    result.extend(program.lines[done:])
    return "\n".join(result)


def _read_hunks(diff: str) -> list[_Hunk]:
    lines = diff.split("\n")
    first = next((i for i, line in enumerate(lines) if line.startswith("@@")), None)
    if first is None:
        header = next(
            (i for i, line in enumerate(lines[:-1])
             if line.startswith("--- ") and lines[i + 1].startswith("+++ ")),
            None,
        )  # fmt: skip
        lines = ["@@", *(lines if header is None else lines[header + 2 :])]
    else:
        lines = lines[first:]
    hunks: list[_Hunk] = []
    unmarked_blanks = 0
    for line in lines:
        if line.startswith("@@"):
            match = _HEADER.match(line)
            start = None
            if match is not None:
                # "-4,0" stands behind line 4, "-4,2" begins with it.
                start = int(match[1]) if match[2] == "0" else max(0, int(match[1]) - 1)
            hunks.append(_Hunk(start, []))
            unmarked_blanks = 0
        elif not line.rstrip("\r"):
            # A blank context line that lost its mark, unless it ends the hunk.
            unmarked_blanks += 1
        elif not line.startswith("\\ No newline"):
            hunks[-1].lines.extend([(" ", "")] * unmarked_blanks)
            unmarked_blanks = 0
            marked = line[0] in " +-"
            hunks[-1].lines.append((line[0], line[1:]) if marked else (" ", line))
    return [hunk for hunk in hunks if any(mark != " " for mark, _ in hunk.lines)]


def _as_written(line: str) -> str:
    return line


_LINE_KEYS = (_as_written, str.rstrip, str.strip)


class _Program:
    """The old program, with what finds a run of lines in it."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self._searches = 0
        self._texts: dict[int, tuple[str, list[int]]] = {}

    def locate(self, hunk: _Hunk, done: int) -> tuple[_Hunk, int] | None:
        """Return the hunk, trimmed if need be, and where it applies, not before line `done`."""
        old = hunk.old
        if not old:
            return hunk, self._insertion_point(hunk.start, done)
        start = hunk.start
        if start is not None and start >= done and self.lines[start : start + len(old)] == old:
            return hunk, start
        self._searches += 1
        if self._searches > _MOST_SEARCHES:
            return None
        for most, key in ((0, 0), (0, 1), (0, 2), (1, 1), (2, 1)):
            trimmed = hunk.trimmed(most)
            if not any(line.strip() for line in trimmed.old):
                continue
            place = self._find(trimmed.old, key, done, trimmed.start)
            if place is not None:
                return trimmed, place
        return None

    def _insertion_point(self, start: int | None, done: int) -> int:
        end = len(self.lines) - (self.lines[-1] == "")  # before the final newline
        return max(done, end if start is None else min(start, end))

    def _find(self, old: list[str], key: int, done: int, near: int | None) -> int | None:
        """Return the line nearest to `near` where `old` stands, by what _LINE_KEYS[key] sees."""
        if key not in self._texts:
            keyed = [_LINE_KEYS[key](line) for line in self.lines]
            offsets = [0, *accumulate(len(line) + 1 for line in keyed)]
            self._texts[key] = ("\n" + "\n".join(keyed) + "\n", offsets)
        text, offsets = self._texts[key]
        wanted = "\n" + "\n".join(_LINE_KEYS[key](line) for line in old) + "\n"
        near = min(max(done, near or 0), len(self.lines))
        behind = text.find(wanted, offsets[near])
        before = text.rfind(wanted, offsets[done], offsets[near] + len(wanted) - 1)
        places = [bisect.bisect_left(offsets, at) for at in (behind, before) if at >= 0]
        return min(places, key=lambda place: abs(place - near), default=None)
