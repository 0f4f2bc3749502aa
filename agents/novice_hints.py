"""What a beginner takes from a tutor's message: lines, words in backticks, whole programs.

    Look at line 3: the comparison `<` in it is not right.

says line 3 and the word `<`. A program counts where a fence shows it complete and it parses.
What that does to the student is `novice_listening`.

Covered: any text, read up to `LONGEST_READ` characters; nothing of it is ever run here. Not
covered: everything else a message says. An explanation, a question, a test restated in words, a
piece of a program in a fence have no effect on this student, whatever they would do for another.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from novicegym.agents.novice_source import lex
from novicegym.courses.syntax import parse
from novicegym.dialogs.extract import is_give_up
from novicegym.dialogs.fences import PYTHON_LABELS, blocks

LONGEST_READ = 8_000
"""Characters of a message that are read."""

_LONGEST_CODE = 80
"""Characters of code between backticks that are taken for words of it."""

_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.M | re.S)
_LINES = re.compile(
    r"\bline\s+(\d{1,6})\b|\blines\s+(\d{1,6})\b(?:\s*(to|through|-|\u2013|and)\s*(\d{1,6})\b)?",
    re.I,
)
_OF_OUTPUT = re.compile(r"\s+(?:of|in)\s+(?:the|your|its)\s+(?:expected\s+)?(?:out|in)put\b", re.I)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_MARKS = frozenset("()[]{},.:;'\"")


class Hint(NamedTuple):
    """What a student reads in a message; each empty where it says nothing of the kind."""

    lines: tuple[tuple[int, int], ...] = ()
    """First and last line, from 1, of every place that is named, in order."""
    words: tuple[str, ...] = ()
    """Names, numbers and operators that stand in backticks, each once, in order."""
    programs: tuple[str, ...] = ()
    """Programs that are shown."""


def read_hint(message: str) -> Hint:
    """Return what a student reads in `message`; of any other text than stated above nothing."""
    if not message.strip():
        return Hint()
    read = message[:LONGEST_READ]
    prose = _FENCED.sub("\n", read)
    words = (word for code in _INLINE.findall(prose) for word in _words(code))
    return Hint(tuple(_lines(prose)), tuple(dict.fromkeys(words)), tuple(_programs(read)))


def _lines(prose: str) -> list[tuple[int, int]]:
    found: dict[tuple[int, int], None] = {}
    for match in _LINES.finditer(prose):
        if _OF_OUTPUT.match(prose, match.end()):
            continue
        first = int(match[1] or match[2])
        last = int(match[4] or first)
        spans = [(first, first), (last, last)] if match[3] == "and" else [(first, last)]
        found.update(dict.fromkeys((min(span), max(span)) for span in spans))
    return list(found)


def _words(code: str) -> list[str]:
    if len(code) > _LONGEST_CODE:
        return []
    found = [token.text for token in lex(code) if token.kind not in ("space", "comment")]
    # A bracket by itself is pointed at; those of `len(names)` are not.
    return found if len(found) == 1 else [word for word in found if word not in _MARKS]


def _programs(message: str) -> list[str]:
    bodies = (
        block.body.rstrip() + "\n"
        for block in blocks(message)
        if block.closed and (block.label in PYTHON_LABELS or not block.label)
    )
    # Giving up is no program to copy: a tutor cannot end an episode.
    return [body for body in bodies if body.strip() and not is_give_up(body) and parse(body)]
