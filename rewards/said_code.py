"""The code in what a tutor says: fenced, in backticks, on lines of their own, or in a sentence.

Covered: blocks fenced in any way (`novicegym.dialogs.fences`); code in single or double backticks;
lines that parse, whatever list marker, quote mark, prompt or comment sign stands before them; and
in lines that do not parse, the longest pieces that do, as in "then write total = total + i here";
what stands in quotation marks, in a sentence or as a string of a program. `plain` takes out
characters that nobody sees.
Outside of blocks, what could be a sentence or data by chance does not count: a bare expression that
is no call, in quotation marks a call of an unknown function, and in a sentence a `return`, `if`,
`while` or `for` without a sign, bracket or colon.

Not covered: code that is told in words ("add i to the total").
"""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from novicegym.courses.syntax import parse
from novicegym.dialogs.fences import PYTHON_LABELS, blocks
from novicegym.rewards.normal_form import Statement
from novicegym.rewards.statements import Placed, logical_lines, read_line, read_program

MAX_TRIES = 3_000
"""Pieces of sentences of one message that are tried; about 0.1 s."""
_MAX_PIECE = 40
"""Tokens of a piece of a sentence."""

_MARK = re.compile(r"\s*+(?:(?:[-*+•>|]|#++|\(?\d{1,3}[.):]|>>>|\.\.\.)\s++)*+")
_IN_BACKTICKS = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]++)\1(?!`)")
_QUOTED = re.compile(
    r"\"((?:[^\"\\\n]|\\.)++)\"|(?<!\w)'((?:[^'\\\n]|\\.)++)'(?!\w)"
    r"|[\u201c\u201e]([^\u201c\u201d\n]++)[\u201c\u201d]|\u2018([^\u2018\u2019\n]++)\u2019"
    r"|\u00ab([^\u00ab\u00bb\n]++)\u00bb"
)
_ESCAPE = re.compile(r"\\([\\'\"nt])")
_ESCAPED = {"n": "\n", "t": "\t"}
_PLURAL = re.compile(r"\((?:s|es|ies)\)")
_WORD = re.compile(
    r"[^\W\d]\w*+|\d++(?:\.\d++)?|'(?:[^'\\\n]|\\.)*+'|\"(?:[^\"\\\n]|\\.)*+\""
    r"|//=?|\*\*=?|[<>=!+*/%-]=|[-+*/%<>=()\[\]{}:.,]|\S"
)
_OPERATOR = re.compile(r"[-+*/%<>]|//|\*\*|[<>=!]=|[-+*/%]=")
_SIGN = re.compile(r"[^\w\s$'\",.:]+")
_FUNCTIONS = frozenset(
    name for name, value in vars(builtins).items() if callable(value) and name.islower()
)
_BEGINNINGS = frozenset({"for", "while", "if", "elif", "return", "def", "print"})
_FOLLOWERS = frozenset({"=", "(", "[", ".", "+=", "-=", "*=", "/=", "%=", "//=", "**="})
_HEADS = frozenset({"for", "while", "if", "elif", "def"})


class UnreadableError(Exception):
    """There is more that looks like code than is worth the time."""


@dataclass(frozen=True, slots=True)
class SaidCode:
    """What a message says in code."""

    blocks: tuple[tuple[Placed, ...], ...]
    """Statements that stand in an order, one tuple a block; the lines between them are the last."""
    loose: tuple[Statement, ...]
    """Those in backticks and in sentences."""
    names: frozenset[str]
    """Operators and builtin functions that are named in backticks."""

    def statements(self) -> Iterator[Statement]:
        """Yield all, some of them twice."""
        yield from self.loose
        for block in self.blocks:
            yield from (placed.statement for placed in block)


def plain(text: str) -> str:
    """Return `text` as a reader sees it: in Unicode's form NFKC, without invisible characters.

    Those are format characters (Cf, such as the zero-width space), variation selectors and the
    grapheme joiner.
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    return "".join(
        one
        for one in text
        if unicodedata.category(one) != "Cf" and one != "\u034f" and not "\ufe00" <= one <= "\ufe0f"
    )


def shown_programs(text: str) -> list[str]:
    """Return what stands in fences, and the text, which may be a program itself."""
    text = plain(text)
    return [*(block.body for block in blocks(text)), text]


@lru_cache(maxsize=2_000)
def read_message(text: str, bare: bool = False, chance: bool = False) -> SaidCode:
    """Return the code in `text`.

    bare: with expressions on lines of their own that may be data. chance: with pieces that may
    stand in a sentence by chance. What the student knows is read so. Raises UnreadableError
    after `MAX_TRIES`.
    """
    tries = _Tries(chance)
    found = []
    for block in blocks(text):
        may_be_data = not bare and block.label not in PYTHON_LABELS
        found.append(
            tuple(
                placed
                for placed in read_program(block.body)
                # Of lines that do not parse, pieces are looked for below.
                if placed.statement.is_parsed and not (may_be_data and placed.statement.is_bare)
            )
        )
    loose: list[Statement] = []
    names: set[str] = set()
    for match in _IN_BACKTICKS.finditer(text):
        piece = match[2].strip()
        word = piece.removesuffix("()")
        if _OPERATOR.fullmatch(piece) or word in _FUNCTIONS:
            names.add(word)
        statements = read_line(piece, repaired=True)
        loose += tries.pieces(piece) if statements is None else statements
    quoted = _quoted(text, tries, loose, bare or chance)
    lines = list(read_program(text)) if parse(textwrap.dedent(text)) is not None else []
    for line in () if lines else logical_lines(text):
        indent = len(line) - len(line.lstrip())
        marked = _MARK.match(line)
        unmarked = line[marked.end() if marked is not None else 0 :]
        read = [read_line(code) for code in dict.fromkeys((line.strip(), unmarked.strip()))]
        if not any(read):
            loose += tries.pieces(line) if None in read else ()
        lines += [Placed(statement, indent) for statement in next(filter(None, read), ())]
    if not bare:
        lines = [placed for placed in lines if not placed.statement.is_bare]
    return SaidCode((*found, quoted, tuple(lines)), tuple(loose), frozenset(names))


def _quoted(
    text: str, tries: _Tries, loose: list[Statement], with_data: bool
) -> tuple[Placed, ...]:
    """Return the statements in quotation marks, in order; add pieces of other quotes to `loose`."""
    programs = []
    for match in _QUOTED.finditer(text):
        inside = next(filter(None, match.groups()))
        inside = _ESCAPE.sub(lambda one: _ESCAPED.get(one[1], one[1]), inside)
        if inside.strip():
            # Of several lines, each may be code.
            for line in inside.split("\n"):
                if read_line(line.strip()) is not None:
                    programs.append(line)
                else:
                    loose += tries.pieces(line)
    return tuple(
        placed
        for placed in read_program("\n".join(programs))
        if placed.statement.is_parsed and (with_data or _is_no_data(placed.statement))
    )


def _is_no_data(statement: Statement) -> bool:
    """Whether it is more than a test's input or output could be by chance."""
    return not statement.is_bare and (statement.operates or not statement.is_call)


class _Tries:
    """Looks for code in sentences, up to a number of tries."""

    def __init__(self, chance: bool) -> None:
        self._chance = chance
        self._left = MAX_TRIES

    def pieces(self, line: str) -> list[Statement]:
        """Return the longest pieces of `line` that parse, from left to right.

        With those that stand there by chance, they overlap, so that none hides another.
        """
        line = _PLURAL.sub("", line)
        words = list(_WORD.finditer(line))
        found: list[Statement] = []
        at = 0
        while at < len(words):
            end = self._piece(line, words, at, found) if _may_begin(words, at) else None
            at = at + 1 if end is None or self._chance else end
        return found

    def _piece(
        self, line: str, words: list[re.Match[str]], start: int, found: list[Statement]
    ) -> int | None:
        """Add the statements of the longest piece from `start`; return where it ends."""
        reach = _reach(words, start)
        is_head = words[start][0] in _HEADS
        colon = _colon(words, start, reach) if is_head else None
        for end in range(reach if colon is None else colon + 1, start, -1):
            last = words[end - 1][0]
            if last in _FOLLOWERS - {"."} or last in ",-+*/%<>":
                continue
            self._left -= 1
            if self._left < 0:
                raise UnreadableError
            code = line[words[start].start() : words[end - 1].end()]
            statements = read_line(code + ":" if is_head and last != ":" else code)
            if statements is not None:
                kept = [s for s in statements if self._chance or _stands_out(s, last == ":")]
                found += kept
                return end if kept else None
        return None


def _may_begin(words: list[re.Match[str]], at: int) -> bool:
    if words[at][0] in _BEGINNINGS:
        return True
    if at + 1 == len(words) or not words[at][0].isidentifier():
        return False
    while words[at + 1][0] == "," and at + 3 < len(words) and words[at + 2][0].isidentifier():
        at += 2  # "quotient, rest = divmod(a, b)"
        if words[at + 1][0] == "=":
            return True
    follower = words[at + 1]
    # "a str (not an int)" is a sentence.
    apart = follower[0] in "([." and follower.start() > words[at].end()
    return follower[0] in _FOLLOWERS and not apart


def _reach(words: list[re.Match[str]], start: int) -> int:
    """Return where at the latest a piece from `start` ends: no code has two names in a row."""
    for at in range(start + 1, min(len(words), start + _MAX_PIECE)):
        before, word = words[at - 1][0], words[at][0]
        if _is_name(before) and _is_name(word):
            return at
    return min(len(words), start + _MAX_PIECE)


def _colon(words: list[re.Match[str]], start: int, end: int) -> int | None:
    """Return where the colon is that ends the head of a block."""
    depth = 0
    for at in range(start, end):
        word = words[at][0]
        depth += (word in "([{") - (word in ")]}")
        if word == ":" and not depth:
            return at
    return None


def _is_name(word: str) -> bool:
    return (word[0].isalnum() or word[0] in "_'\"") and not keyword.iskeyword(word)


def _stands_out(statement: Statement, has_colon: bool) -> bool:
    """Whether it would not stand in a sentence by chance."""
    first = statement.tokens[0]
    if statement.is_bare:
        return False
    if statement.is_call:
        return statement.operates
    if has_colon and (statement.operates or first == "for"):
        return True
    if first in ("return", "if", "elif", "while", "for"):
        return any(_SIGN.fullmatch(token) for token in statement.tokens)
    return True
