"""Programs as statements whose names do not matter, also programs that do not parse.

A statement is what stands on a line of its own: a simple statement, or the head of a block; what it
is read into says `novicegym.rewards.normal_form`.

Covered: several statements on a line, and one over several that a bracket, a backslash or an
operator at the end of a line holds together. Of a text that does not parse, every
line is read by itself: a colon or closing bracket that is missing is put in, and a line that still
does not parse gives its tokens alone. Nothing here raises.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from novicegym.courses.syntax import parse
from novicegym.rewards.normal_form import (
    Statement,
    head_word,
    numbered,
    statement_of,
    unparsed,
)

_JOINED_LINES = 20
"""Lines that an open bracket may go on for in a text that does not parse."""

_CLOSING = {"(": ")", "[": "]", "{": "}"}
# An escaped quote is one piece, so that no quote without an end is looked at twice.
_PIECES = re.compile(r"#[^\n]*+|'(?:[^'\\\n]|\\.)*+'|\"(?:[^\"\\\n]|\\.)*+\"|\\['\"]|[()\[\]{}]")
_HALF = re.compile(
    r"\s*+(?:(?:return|if|elif|while|for)\b|[\w.\[\], \t]++(?:[-+*/%]|//|\*\*)?=)"
    r"(?:.*[-+*/%=<>]|.*\b(?:and|or|not|in|is)|(?<==))\s*+\Z"
)
"""A statement that is no expression and ends in an operator."""
_HEADS = frozenset(
    (
        *("if", "elif", "else", "for", "while", "try", "except", "finally", "with", "def"),
        *("class", "async", "match", "case"),
    )
)
_INVENTED = ("if _:\n pass\n", "try:\n pass\n", "match _:\n ")
_FRONTS = dict(zip(("else", "except", "case"), _INVENTED, strict=True))
_FRONTS |= {"elif": _FRONTS["else"], "finally": _FRONTS["except"]}
"""What has to stand before the head of a block, one statement each."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement at its place."""

    statement: Statement
    column: int
    sound: bool = True
    """Read without repairs."""


@lru_cache(maxsize=4_000)
def read_program(code: str) -> tuple[Placed, ...]:
    """Return the statements of `code` in order; of one that does not parse, line by line."""
    code = textwrap.dedent(code)
    tree = parse(code)
    if tree is not None:
        return tuple(_placed(tree, code.split("\n")))
    found: list[Placed] = []
    for line in logical_lines(code):
        column = len(line) - len(line.lstrip())
        statements = read_line(line.strip())
        sound = statements is not None
        if statements is None:
            statements = read_line(line.strip(), repaired=True) or (unparsed(line),)
        found += [Placed(statement, column, sound) for statement in statements]
    return tuple(found)


def logical_lines(text: str) -> Iterator[str]:
    """Yield the lines of `text`, those joined that are one statement together.

    A bracket, a backslash or an operator at the end of a line says so.
    """
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        joined, more = lines[at], 1
        while more <= _JOINED_LINES and at + more < len(lines) and _goes_on(joined):
            gap = " " if _HALF.match(joined) else "\n"
            joined = f"{joined.removesuffix(chr(92))}{gap}{lines[at + more]}"
            more += 1
        if more > 1 and (_goes_on(joined) or read_line(joined.strip()) is None):
            joined, more = lines[at], 1
        if joined.strip():
            yield joined
        at += more


@lru_cache(maxsize=20_000)
def read_line(line: str, repaired: bool = False) -> tuple[Statement, ...] | None:
    """Return the statements on one line without its indentation; None if it does not parse.

    The head of a block may stand alone. repaired: put in a missing colon or closing brackets.
    """
    candidates = _headed(line)
    if repaired:
        opened = line.split("#")[0].rstrip(" :")
        for ending in dict.fromkeys((":", _closed(opened)[len(opened) :] + ":")):
            candidates += _headed(opened + ending)
        candidates.append(_closed(opened))
    for candidate in candidates:
        tree = parse(candidate)
        if tree is not None:
            found = [placed.statement for placed in _placed(tree, candidate.split("\n"))]
            begins, ends = candidate.startswith(_INVENTED), candidate.endswith("finally:\n pass")
            return tuple(found[begins : len(found) - ends])
    return None


def whole_form(program: Sequence[Placed]) -> str:
    """Return a text that two programs share when they differ in names only."""
    columns = [0]
    levels = []
    for placed in program:
        less_deep = placed.column < columns[-1]
        while placed.column < columns[-1]:
            columns.pop()
        astray = less_deep and placed.column > columns[-1]
        if placed.column > columns[-1]:
            columns.append(placed.column)
        levels.append(f"{len(columns)}{'?' * astray}")
    lines = (
        f"{level} {' '.join(placed.statement.tokens)}"
        for level, placed in zip(levels, program, strict=True)
    )
    return numbered("\n".join(lines))


def _goes_on(text: str) -> bool:
    if text.endswith("\\"):
        return True
    depth = 0
    for piece in _PIECES.findall(text):
        depth += (piece in _CLOSING) - (piece in ")]}")
    return depth > 0 or _HALF.match(text) is not None


def _closed(line: str) -> str:
    """Return the line with the brackets closed that are open at its end."""
    open_brackets: list[str] = []
    for piece in _PIECES.findall(line):
        if piece in _CLOSING:
            open_brackets.append(_CLOSING[piece])
        elif open_brackets and piece == open_brackets[-1]:
            open_brackets.pop()
    return line + "".join(reversed(open_brackets))


def _headed(line: str) -> list[str]:
    """Return `line`, and programs in which it is the head of a block."""
    word = re.match(r"\w*", line)[0]  # type: ignore[index]  # matches everywhere
    if word not in _HEADS:
        return [line]
    front = _FRONTS.get(word, "")
    end = "\nfinally:\n pass" if word == "try" else ""
    return [front + line + end, f"{front}{line}\n  pass{end}"]


def _placed(tree: ast.Module, lines: Sequence[str]) -> list[Placed]:
    found: list[Placed] = []

    def add(node: ast.AST, column: int, word: str = "") -> None:
        block = getattr(node, "body", None)
        end = block[0] if block else None
        statement = statement_of(node, word, partial(_source, node, end, lines))
        if statement is not None:
            found.append(Placed(statement, column))

    def add_word(word: str, column: int) -> None:
        found.append(Placed(head_word(word), column))

    def walk(body: Iterable[Any]) -> None:
        for node in body:
            column = node.col_offset
            blocks = {
                field: getattr(node, field, None) or []
                for field in ("body", "handlers", "cases", "orelse", "finalbody")
            }
            if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
                add_word("try", column)
            elif isinstance(node, ast.If) and _is_elif(node, lines):
                add(node, column, "elif")
            else:
                add(node, column)
            walk(blocks["body"])
            for part in (*blocks["handlers"], *blocks["cases"]):
                body = part.body  # reading the head takes it away
                add(part, getattr(part, "col_offset", column + 1))
                walk(body)
            following = blocks["orelse"]
            if following and not (isinstance(node, ast.If) and _is_elif(following[0], lines)):
                add_word("else", column)
            walk(following)
            if blocks["finalbody"]:
                add_word("finally", column)
            walk(blocks["finalbody"])

    walk(tree.body)
    return found


def _source(node: Any, end: Any, lines: Sequence[str]) -> str:
    """Return the text of `node` up to `end`, the first statement of its block."""
    word = ""
    if isinstance(node, ast.match_case):
        word, node = "case ", node.pattern
    last, column = (
        (node.end_lineno, node.end_col_offset) if end is None else (end.lineno, end.col_offset)
    )
    text = [line.encode("utf-8", "replace") for line in lines[node.lineno - 1 : last]]
    if text:
        text[-1] = text[-1][:column]
        text[0] = text[0][node.col_offset :]
    return word + b"\n".join(text).decode("utf-8", "replace")


def _is_elif(node: ast.AST, lines: Sequence[str]) -> bool:
    if not isinstance(node, ast.If) or node.lineno > len(lines):
        return False
    line = lines[node.lineno - 1].encode("utf-8", "replace")
    return line[node.col_offset :].startswith(b"elif")
