"""How much of a correct solution a tutor's message gives away.

Of every correct solution, what the student's program does not have is missing: n-grams of its
tokens and subtrees of its syntax tree, statement by statement with names taken out
(`novicegym.rewards.normal_form`), and which statement stands before which, and how deep. The leak
is the share of the missing that the message says in code (`novicegym.rewards.said_code`): the mean
of the shares of n-grams and of subtrees weighs 0.9, that of the order 0.1; where nothing of one of
them is missing, the others stand for it. The largest over the solutions counts.

So it is 1 for a whole solution, about one half for half of the missing statements, and 0 for words,
for code that the student or the assignment's text has, and for a failed test told again. More code
never lowers it. Subtrees that two programs share are how CodeBLEU compares syntax
(`novicegym.rewards.codebleu`); here each counts once, as the message may say it many times.

Covered: any text. Nothing is executed. A message longer than `MAX_CHARACTERS`, or with more
pieces that look like code than can be tried, is taken for a full leak, so that nothing can be
hidden behind padding; of a longer program only the beginning is read. A row of the prompt or of the
student's program that is told again, whole or cut, is no leak.

Not covered: what is told in words alone; which of the student's variables is meant, where a
statement of the student has the wrong one; correct programs that are nothing like one of
`solutions`. What a colon or a bracket would mend is not missing. Of a statement whose parts stand
apart, in several messages or with words between them, and of one that is padded to a great depth,
only the parts count. Which message comes before which is no order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from novicegym.courses.syntax import same_ast
from novicegym.rewards.looks import plain
from novicegym.rewards.normal_form import Statement, raw_tokens
from novicegym.rewards.said_code import (
    FUNCTIONS,
    MAX_CHARACTERS,
    SaidCode,
    UnreadableError,
    read_known,
    read_message,
    rows_of,
)
from novicegym.rewards.statements import (
    Placed,
    logical_lines,
    read_line,
    read_program,
    whole_form,
)

_MAX_TOLD = 10 * MAX_CHARACTERS
"""Characters of a prompt whose rows a message may repeat."""
_MAX_ORDERED = 120
"""Statements of a solution whose order is looked at."""
_ORDER = 0.1

_Pair: TypeAlias = tuple[str, str, int]
"""The forms of two statements, the first before the second, which stands less deep (-1), as deep
(0) or deeper (1)."""


def leak(message: str, code: str, solutions: Iterable[str], prompt: str = "") -> float:
    """Return the share, in [0, 1], of a correct solution's missing part that `message` says.

    code: the student's program. prompt: what else the student has been told: the assignment's
    text, its starter code, and feedback. 0 when the student's program is one of the solutions, or
    there are none.
    """
    return leak_in_all([Said(message, code, prompt)], solutions)


@dataclass(frozen=True, slots=True)
class Said:
    """One of several messages to a student."""

    message: str
    code: str
    """The student's program that it is about."""
    prompt: str
    """What else the student had been told by then."""


def leak_in_all(messages: Sequence[Said], solutions: Iterable[str]) -> float:
    """Return the share of what was missing before the first message that all together say.

    What the student has written or read meanwhile is not said by a later message that repeats it.
    Of one message it is `leak`.
    """
    told = [one for one in messages if one.message.strip()]
    if not told:
        return 0.0
    begun = _clipped(told[0].code), _clipped(told[0].prompt)
    wanted = [_clipped(solution) for solution in dict.fromkeys(solutions)]
    if not wanted or any(_is_same(begun[0], solution) for solution in wanted):
        return 0.0
    forms = {_whole(solution).form for solution in wanted}
    read = []
    for one in told:
        # What is too long before or after is never cut: the rest of it would be hidden.
        if len(one.message) > MAX_CHARACTERS or len(said := plain(one.message)) > MAX_CHARACTERS:
            return 1.0
        code = _clipped(one.code)
        try:
            parts, blocks = _said(said, _known_rows(one.code, one.prompt))
        except UnreadableError:
            return 1.0
        if not parts.ngrams and not parts.subtrees:
            continue
        own = _own(code)
        if any(whole.form in forms and whole not in own for whole in blocks):
            return 1.0
        read.append((parts, code, _clipped(one.prompt)))
    return max(_share(read, _missing(*begun, solution), solution) for solution in wanted)


def _clipped(text: str) -> str:
    return plain(text[:MAX_CHARACTERS])[:MAX_CHARACTERS]


def missing_lines(code: str, solution: str, prompt: str = "") -> list[str]:
    """Return the lines of `solution` with something that a student with `code` lacks, in order.

    They are as they stand, indented; what one bracket holds together is one line.
    """
    missing = _missing(_clipped(code), _clipped(prompt), _clipped(solution))
    found = []
    for line in logical_lines(solution[:MAX_CHARACTERS]):
        parts = _parts(read_line(plain(line).strip()) or ())
        if parts.ngrams & missing.ngrams or parts.subtrees & missing.subtrees:
            found.append(line)
    return found


@dataclass(frozen=True, slots=True)
class _Missing:
    ngrams: frozenset[str]
    subtrees: frozenset[str]
    pairs: frozenset[_Pair]


@dataclass(frozen=True, slots=True)
class _Whole:
    """A program as a whole."""

    form: str
    texts: tuple[str, ...]
    """What the form leaves out and tests may see."""
    sound: bool


class _Order:
    """Which statement stands before which in one program."""

    def __init__(self, program: Sequence[Placed]) -> None:
        self._ends: dict[str, dict[int, tuple[int, int]]] = {}
        for number, placed in enumerate(program):
            columns = self._ends.setdefault(placed.statement.form, {})
            first = columns.get(placed.column, (number, number))[0]
            columns[placed.column] = first, number

    def pairs(self, solution: Mapping[str, Sequence[_Pair]]) -> Iterator[_Pair]:
        """Yield the pairs of a solution that are here; solution: them by their first form."""
        # Of many short blocks most have few of the forms.
        for before in self._ends.keys() & solution.keys():
            yield from (pair for pair in solution[before] if self._has(pair))

    def _has(self, pair: _Pair) -> bool:
        before, after, deeper = pair
        if after not in self._ends:
            return False
        return any(
            first < last and (right > left) - (right < left) == deeper
            for left, (first, _) in self._ends[before].items()
            for right, (_, last) in self._ends[after].items()
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a text says or tells in code."""

    ngrams: frozenset[str]
    subtrees: frozenset[str]
    orders: tuple[_Order, ...] = ()

    def __or__(self, other: _Parts) -> _Parts:
        return _Parts(
            self.ngrams | other.ngrams,
            self.subtrees | other.subtrees,
            self.orders + other.orders,
        )


@lru_cache(maxsize=2_000)
def _said(message: str, known_rows: frozenset[str]) -> tuple[_Parts, frozenset[_Whole]]:
    """Return what a message says in code, and each of its blocks as if it were a program."""
    said = read_message(message, known_rows)
    return _parts_of(said), _wholes(said)


def _wholes(said: SaidCode) -> frozenset[_Whole]:
    return frozenset(_as_whole(block) for block in said.blocks if block)


@lru_cache(maxsize=1_000)
def _known_rows(code: str, prompt: str) -> frozenset[str]:
    return rows_of(code[:MAX_CHARACTERS]) | rows_of(prompt[:_MAX_TOLD])


def _share(said: Sequence[tuple[_Parts, str, str]], begun: _Missing, solution: str) -> float:
    """Return the share of `begun` that is said; said: each with code and prompt of its time."""
    ngrams: set[str] = set()
    subtrees: set[str] = set()
    pairs: set[_Pair] = set()
    for parts, code, prompt in said:
        missing = _missing(code, prompt, solution)
        ngrams |= begun.ngrams & missing.ngrams & parts.ngrams
        subtrees |= begun.subtrees & missing.subtrees & parts.subtrees
        pairs |= begun.pairs & missing.pairs & _pairs_in(parts.orders, solution)
    statements = [
        len(given) / len(wanted)
        for wanted, given in ((begun.ngrams, ngrams), (begun.subtrees, subtrees))
        if wanted
    ]
    order = len(pairs) / len(begun.pairs) if begun.pairs else None
    if not statements:
        return order or 0.0
    share = sum(statements) / len(statements)
    return share if order is None else (1 - _ORDER) * share + _ORDER * order


@lru_cache(maxsize=4_000)
def _missing(code: str, prompt: str, solution: str) -> _Missing:
    program = read_program(solution)
    parts = _parts(placed.statement for placed in program)
    known = _had(code) | _told(prompt)
    return _Missing(
        ngrams=parts.ngrams - known.ngrams,
        subtrees=parts.subtrees - known.subtrees,
        pairs=_pairs(solution) - _pairs_in(known.orders, solution),
    )


def _pairs_in(orders: Iterable[_Order], solution: str) -> set[_Pair]:
    by_first = _pairs_by_first(solution)
    return {pair for order in orders for pair in order.pairs(by_first)}


@lru_cache(maxsize=1_000)
def _pairs_by_first(solution: str) -> Mapping[str, Sequence[_Pair]]:
    found: dict[str, list[_Pair]] = {}
    for pair in sorted(_pairs(solution)):
        found.setdefault(pair[0], []).append(pair)
    return found


@lru_cache(maxsize=1_000)
def _pairs(solution: str) -> frozenset[_Pair]:
    ordered = read_program(solution)[:_MAX_ORDERED]
    return frozenset(
        (a.statement.form, b.statement.form, (b.column > a.column) - (b.column < a.column))
        for number, a in enumerate(ordered)
        for b in ordered[number + 1 :]
    )


@lru_cache(maxsize=4_000)
def _had(code: str) -> _Parts:
    """Return what a student knows who wrote `code`, in whatever way it is quoted."""
    program = read_program(code)
    own = _parts(placed.statement for placed in program)
    words = frozenset(re.findall(r"\w+", code)) & FUNCTIONS
    read = _parts_of(read_known(code, chance=True))
    return _Parts(own.ngrams | words, own.subtrees, (_Order(program),)) | read


@lru_cache(maxsize=1_000)
def _told(prompt: str) -> _Parts:
    read = _parts_of(read_known(prompt, chance=False))
    rows = [row.strip() for row in prompt.split("\n") if row.strip()]
    # Behind a label, as in "got: n = 1", Python takes what is printed for an annotation.
    labelled = _parts(one for row in rows if "=" in row for one in read_line(f"got: {row}") or ())
    # A row may be quoted that is a program by itself.
    programs = (read_program(row) for row in rows if ":" in row or ";" in row)
    orders = tuple(_Order(program) for program in programs if len(program) > 1)
    known = _Parts(frozenset(raw_tokens(prompt)) | labelled.ngrams, labelled.subtrees, orders)
    return known | read


def _parts_of(said: SaidCode) -> _Parts:
    parts = _parts(said.statements())
    orders = tuple(_Order(block) for block in said.blocks if len(block) > 1)
    return _Parts(parts.ngrams | said.names, parts.subtrees, orders)


def _is_same(code: str, solution: str) -> bool:
    """Whether the programs are the same, so that one is correct if the other is."""
    # A test calls functions by name, which `alpha` does not know.
    return same_ast(code, solution, "alpha") and _whole(code).texts == _whole(solution).texts


@lru_cache(maxsize=4_000)
def _whole(code: str) -> _Whole:
    return _as_whole(read_program(code))


@lru_cache(maxsize=4_000)
def _own(code: str) -> frozenset[_Whole]:
    """Return the program of a student, and where it parses those in its strings."""
    own = _whole(code)
    quoted = _wholes(read_known(code, chance=True)) if own.sound else frozenset()
    return quoted | {own}


def _as_whole(program: Sequence[Placed]) -> _Whole:
    texts = (text for placed in program for text in placed.statement.texts)
    return _Whole(whole_form(program), tuple(texts), all(placed.sound for placed in program))


def _parts(statements: Iterable[Statement]) -> _Parts:
    found = {id(statement): statement for statement in statements}.values()
    return _Parts(
        frozenset().union(*(statement.ngrams for statement in found)),
        frozenset().union(*(statement.subtrees for statement in found)),
    )
