"""A known program as the student at hand would type it: what is left to compare is meaning.

Names are `novice_style.adopt_names`'; here it is spacing, quotes, comments and the width of the
indentation. A line that the student has, written otherwise, becomes the student's own line.

Covered: programs that parse, against any text. Not covered: a line broken over several, and texts
in triple quotes, which the width of the indentation is part of: such programs are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from novicegym.agents.novice_source import indent_of, is_fstring, lex
from novicegym.courses.syntax import ast_key

_Line: TypeAlias = tuple[int, tuple[str, ...]]
"""How deep a line stands, and its lexemes."""

_TAB = 4


def in_hand_of(program: str, code: str) -> str:
    """Return the same program with the looks of `code`, line by line."""
    own: dict[_Line, str] = {}
    indents: dict[int, str] = {}
    for line, text in zip(_lines(code), code.split("\n"), strict=True):
        if line[1]:
            own.setdefault(line, text)
            indents.setdefault(line[0], indent_of(text))
    unit = indents.get(1, " " * _TAB)
    rows = []
    for line, text in zip(_lines(program), program.split("\n"), strict=True):
        typed = indents.get(line[0], unit * line[0]) + text.lstrip(" \t")
        rows.append(own.get(line, typed) if line[1] else text)
    typed = "\n".join(rows)
    return typed if ast_key(typed) == ast_key(program) else program


def same_line(a: str, b: str) -> bool:
    """Whether two lines differ in spacing, quotes and comments alone; indentation counts."""
    return lexemes(a) == lexemes(b) and indent_width(a) == indent_width(b)


def lexemes(line: str) -> tuple[str, ...]:
    """Return what Python reads of a line, quotes written alike."""
    return tuple(
        _quoted(token.text) if token.kind == "string" else token.text
        for token in lex(line)
        if token.kind not in ("space", "newline", "comment")
    )


def _quoted(literal: str) -> str:
    body = literal[1:-1]
    plain = literal[0] in "'\"" and not is_fstring(literal) and not set("'\"\\") & set(body)
    return f'"{body}"' if plain else literal


def _lines(code: str) -> Iterator[_Line]:
    """Yield each line's depth and lexemes, blank lines and comments with none."""
    widths = [0]
    for text in code.split("\n"):
        read = lexemes(text)
        if read:
            width = indent_width(text)
            while width < widths[-1]:
                widths.pop()
            if width > widths[-1]:
                widths.append(width)
        yield len(widths) - 1, read


def indent_width(line: str) -> int:
    """Return the columns a line is indented by."""
    return len(indent_of(line).expandtabs(_TAB))
