"""Text of others in a tutor's own words: quoted, cut, without what a terminal would obey.

Covered: any text, of students, programs and models alike; every result is printable but for line
ends, and as long as said at most. Not covered: what a text means.
"""

from __future__ import annotations

from collections.abc import Iterable

from novicegym.agents.novice_source import RESERVED, lex

LONGEST_NAME = 30
"""Characters of a name that is worth repeating."""


def printable(text: str, most: int) -> str:
    """Return `text` as one line of at most `most` characters, "\\x1b" and the like written out."""
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[: most + 1]
    )
    return shown if len(shown) <= most else shown[: max(0, most - 4)] + " ..."


def spoken(text: str) -> str:
    """Return a message without the characters that no person types, and without outer blanks."""
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    return "".join(char for char in text if char == "\n" or char.isprintable()).strip()


def joined(parts: Iterable[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last


def own_names(code: str) -> list[str]:
    """Return the names a program uses and Python does not know, attributes apart, in order."""
    found: dict[str, None] = {}
    previous = ""
    for token in lex(code):
        if token.kind == "name" and previous != "." and token.text not in RESERVED:
            found[token.text] = None
        if token.kind != "space":
            previous = token.text
    return [name for name in found if len(name) <= LONGEST_NAME]
