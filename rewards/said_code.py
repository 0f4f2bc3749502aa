"""The code in what a tutor says: fenced, in backticks, on lines of their own, or in a sentence.

Covered: blocks fenced in any way (`novicegym.dialogs.fences`); code in single or double backticks;
lines that parse, whatever list marker, quote mark, prompt or comment sign stands before them; and
in lines that do not parse, the longest pieces that do, as in "then write total = total + i here";
what stands in quotation marks, in a sentence or as a string of a program.
Outside of blocks, what could be a sentence or data by chance does not count: a bare expression that
is no call, in quotation marks a call of an unknown function, and in a sentence a `return`, `if`,
`while` or `for` without a sign, bracket or colon. A keyword or name alone in backticks is a word.
What a row holds that the student has read or written is not said by who repeats the row.

Not covered: code that is told in words ("add i to the total"); half statements with words between
the halves.
"""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from novicegym.courses.syntax import parse
from novicegym.dialogs.fences import PYTHON_LABELS, blocks
from novicegym.rewards.looks import plain
from novicegym.rewards.normal_form import Statement
from novicegym.rewards.statements import Placed, logical_lines, read_line, read_program

MAX_CHARACTERS = 20_000
"""Of a message that is read."""
MAX_TRIES = 3_000
"""Pieces of sentences of one message that are tried; about 0.1 s."""
_MAX_PIECE = 40
"""Tokens of a piece of a sentence."""
_CUT = "..."
"""Ends a row of which only the beginning is told again."""
_LONG_ROW, _SURE = 40, 20
"""Characters of a row that is cut at all, and those that show which row it is."""

_MARK = re.compile(r"\s*+(?:(?:[-*+•>|]|#++|\(?\d{1,3}[.):]|>>>|\.\.\.)\s++)*+")
_IN_BACKTICKS = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]++)\1(?!`)")
_QUOTED = re.compile(
    r"\"((?:[^\"\\\n]|\\.)++)\"|(?<!\w)'((?:[^'\\\n]|\\.)++)'(?!\w)"
    r"|[\u201c\u201e]([^\u201c-\u201e\n]++)[\u201c\u201d]|\u2018([^\u2018\u2019\n]++)\u2019"
    r"|\u00ab([^\u00ab\u00bb\n]++)\u00bb|\\['\"]"
)
_ESCAPE = re.compile(r"\\([\\'\"nt])")
_ESCAPED = {"n": "\n", "t": "\t"}
_PLURAL = re.compile(r"\((?:s|es|ies)\)")
# In these, an escaped quote is one token, so that no quote without an end is looked at twice.
_WORD = re.compile(
    r"[^\W\d]\w*+|\d++(?:\.\d++)?|'(?:[^'\\\n]|\\.)*+'|\"(?:[^\"\\\n]|\\.)*+\"|\\['\"]"
    r"|//=?|\*\*=?|[<>=!+*/%-]=|[-+*/%<>=()\[\]{}:.,]|\S"
)
_OPERATOR = re.compile(r"[-+*/%<>]|//|\*\*|[<>=!]=|[-+*/%]=")
_SIGN = re.compile(r"[^\w\s$'\",.:]+")
FUNCTIONS = frozenset(
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


def shown_programs(text: str) -> list[str]:
    """Return what stands in fences, and the text, which may be a program itself.

    As a reader sees it and, where that differs, as it is written. Nothing of a text that is too
    long to be read: it is taken for a full leak anyway.
    """
    if len(text) > MAX_CHARACTERS or len(seen := plain(text)) > MAX_CHARACTERS:
        return []
    found = [*(block.body for block in blocks(seen)), seen]
    # What a program prints may have letters that look like others.
    return found if seen == text else [*found, *(block.body for block in blocks(text)), text]


@lru_cache(maxsize=2_000)
def read_message(text: str, known_rows: frozenset[str] = frozenset()) -> SaidCode:
    """Return the code that a tutor's message says.

    known_rows: of what the student has read or written. Raises UnreadableError after `MAX_TRIES`.
    """
    return _read(text, _Tries(False, Retold(text, known_rows)), bare=False)


@lru_cache(maxsize=2_000)
def read_known(text: str, chance: bool) -> SaidCode:
    """Return the code in what a student has read or written, also what may be data.

    chance: with pieces that may stand in a sentence by chance. Where there is more than can be
    tried, the first of it.
    """
    tries = _Tries(chance, Retold(text, frozenset()), raises=False)
    return _read(text, tries, bare=True)


def rows_of(text: str) -> frozenset[str]:
    """Return the rows of a text as a message may repeat them: `Retold` finds them."""
    rows = set(plain(text).split("\n"))
    for row in text.split("\n"):
        if not row.isprintable():
            rows.add(plain("".join(map(_written_out, row))))
    # No statement has fewer characters than "n=1".
    return frozenset(row.strip() for row in rows if len(row.strip()) >= 3)


def _written_out(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


class Retold:
    """Where a text repeats rows of another.

    Covered: whole rows wherever they stand, and the beginnings of long ones with "..." behind them.
    """

    def __init__(self, text: str, rows: Set[str]) -> None:
        self._text, self._rows = text, rows
        ends: dict[int, int] = {}

        def add(start: int, end: int) -> None:
            ends[start] = max(end, ends.get(start, 0))

        is_cut = _CUT in text
        for row in rows:
            at = text.find(row)
            while at >= 0:
                add(at, at + len(row))
                at = text.find(row, at + len(row))
            if is_cut and len(row) > _LONG_ROW:
                at = text.find(row[:_SURE])
                while at >= 0:
                    end = text.find(_CUT, at, at + len(row) + len(_CUT))
                    told = text[at:end].rstrip() if end >= 0 else ""
                    if len(told) >= _SURE and row.startswith(told):
                        add(at, end + len(_CUT))
                    at = text.find(row[:_SURE], at + _SURE)
        self._starts = sorted(ends)
        self._reach = list(accumulate((ends[start] for start in self._starts), max))

    def holds(self, start: int, end: int) -> bool:
        """Whether all of this stands in a row that is repeated."""
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._reach[at]

    def parts(self, start: int, end: int) -> bool:
        """Whether this is a part of a row that is repeated, and not a row itself.

        A whole row is known as such, and counts for the order of what is said.
        """
        inside = self._text[start:end]
        start += len(inside) - len(inside.lstrip())
        end -= len(inside) - len(inside.rstrip())
        return self.holds(start, end) and inside.strip() not in self._rows


def _read(text: str, tries: _Tries, bare: bool) -> SaidCode:
    """Return the code in `text`; bare: with expressions on lines of their own that may be data."""
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
    loose, names = _in_backticks(text, tries)
    quoted = _quoted(text, tries, loose, bare)
    lines = list(read_program(text)) if parse(textwrap.dedent(text)) is not None else []
    at = 0
    for line in () if lines else logical_lines(text):
        place = text.find(line, at)
        at = place + len(line) if place >= 0 else at
        indent = len(line) - len(line.lstrip())
        marked = _MARK.match(line)
        unmarked = line[marked.end() if marked is not None else 0 :]
        read = [read_line(code) for code in dict.fromkeys((line.strip(), unmarked.strip()))]
        if not any(read):
            loose += tries.pieces(line, place) if None in read else ()
        lines += [Placed(statement, indent) for statement in next(filter(None, read), ())]
    if not bare:
        lines = [placed for placed in lines if not placed.statement.is_bare]
    return SaidCode((*found, quoted, tuple(lines)), tuple(loose), names)


def _in_backticks(text: str, tries: _Tries) -> tuple[list[Statement], frozenset[str]]:
    """Return the statements in backticks, and the operators and functions that are named so."""
    loose: list[Statement] = []
    names: set[str] = set()
    for match in _IN_BACKTICKS.finditer(text):
        if tries.retold.holds(*match.span(2)):
            continue
        piece = match[2].strip()
        word = piece.removesuffix("()")
        if _OPERATOR.fullmatch(piece) or word in FUNCTIONS:
            names.add(word)
        # "the word `else`" shows no statement, but `break` is one.
        statements = read_line(piece, repaired=not piece.isidentifier())
        loose += tries.pieces(match[2], match.start(2)) if statements is None else statements
    return loose, frozenset(names)


def _quoted(
    text: str, tries: _Tries, loose: list[Statement], with_data: bool
) -> tuple[Placed, ...]:
    """Return the statements in quotation marks, in order; add pieces of other quotes to `loose`."""
    programs = []
    for match in _QUOTED.finditer(text):
        if match.lastindex is None or tries.retold.parts(*match.span(match.lastindex)):
            continue
        inside = _ESCAPE.sub(lambda one: _ESCAPED.get(one[1], one[1]), match[match.lastindex])
        if inside.strip():
            place = match.start(match.lastindex) if inside == match[match.lastindex] else -1
            # Of several lines, each may be code.
            for line in inside.split("\n"):
                if read_line(line.strip()) is not None:
                    programs.append(line)
                else:
                    loose += tries.pieces(line, place)
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

    def __init__(self, chance: bool, retold: Retold, raises: bool = True) -> None:
        """chance, raises: as in `read_known` and not in `read_message`."""
        self.retold = retold
        self._chance = chance
        self._raises = raises
        self._left = MAX_TRIES

    def pieces(self, line: str, place: int) -> list[Statement]:
        """Return the longest pieces of `line` that parse, from left to right.

        place: where the line stands in the text, or -1. With those that stand there by chance,
        they overlap, so that none hides another. None is of a row that is told again.
        """
        if place >= 0 and self.retold.holds(place, place + len(line.rstrip())):
            return []
        line = _PLURAL.sub(lambda plural: " " * len(plural[0]), line)
        words = list(_WORD.finditer(line))
        found: list[Statement] = []
        at = 0
        while at < len(words):
            may_begin = (self._left or self._raises) and _may_begin(words, at)
            end = self._piece(line, place, words, at, found) if may_begin else None
            at = at + 1 if end is None or self._chance else end
        return found

    def _piece(
        self,
        line: str,
        place: int,
        words: Sequence[re.Match[str]],
        start: int,
        found: list[Statement],
    ) -> int | None:
        """Add the statements of the longest piece from `start`; return where it ends."""
        reach = _reach(words, start)
        is_head = words[start][0] in _HEADS
        colon = _colon(words, start, reach) if is_head else None
        for end in range(reach if colon is None else colon + 1, start, -1):
            last = words[end - 1][0]
            if last in _FOLLOWERS or last in ",-+*/%<>":
                continue
            begins, ends = words[start].start(), words[end - 1].end()
            if place >= 0 and self.retold.holds(place + begins, place + ends):
                return None
            if not self._left:
                if self._raises:
                    raise UnreadableError
                return None
            self._left -= 1
            code = line[begins:ends]
            statements = read_line(code + ":" if is_head and last != ":" else code)
            if statements is not None:
                kept = [s for s in statements if self._chance or _stands_out(s, last == ":")]
                found += kept
                return end if kept else None
        return None


def _may_begin(words: Sequence[re.Match[str]], at: int) -> bool:
    if words[at][0] in _BEGINNINGS:
        return True
    if at + 1 == len(words) or not words[at][0].isidentifier():
        return False
    end = min(len(words) - 3, at + _MAX_PIECE)
    while at < end and words[at + 1][0] == "," and words[at + 2][0].isidentifier():
        at += 2  # "quotient, rest = divmod(a, b)"
        if words[at + 1][0] == "=":
            return True
    follower = words[at + 1]
    # "a str (not an int)" is a sentence.
    apart = follower[0] in "([." and follower.start() > words[at].end()
    return follower[0] in _FOLLOWERS and not apart


def _reach(words: Sequence[re.Match[str]], start: int) -> int:
    """Return where at the latest a piece from `start` ends: no code has two names in a row."""
    for at in range(start + 1, min(len(words), start + _MAX_PIECE)):
        before, word = words[at - 1][0], words[at][0]
        if _is_name(before) and _is_name(word):
            return at
    return min(len(words), start + _MAX_PIECE)


def _colon(words: Sequence[re.Match[str]], start: int, end: int) -> int | None:
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
