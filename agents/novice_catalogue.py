"""The catalogue of novice errors: what a kind of bug is, and where each comes from.

A kind finds the places of a program where it can be made, as edits of the text. The kinds
live in `novice_syntax_bugs`, `novice_runtime_bugs` and `novice_logic_bugs`; each cites the
literature it is taken from by a key of `LITERATURE`.

Covered: slips and misconceptions that one local edit expresses.
Not covered: wrong algorithms (a novice who starts over takes another known solution), and
errors that need code of a task's own domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from novicegym.agents.novice_source import Edit, Edits, Source, splice
from novicegym.courses.syntax import ast_key, compiles

Category: TypeAlias = Literal["syntax", "runtime", "logic"]
"""What the bug usually leads to: does not compile, raises, or gives a wrong answer."""

Topic: TypeAlias = Literal[
    "notation", "names", "values", "arithmetic", "conditions", "loops", "functions", "lists", "text"
]
"""The skill that keeps a student from making it."""

TOPICS: tuple[Topic, ...] = (
    "notation",
    "names",
    "values",
    "arithmetic",
    "conditions",
    "loops",
    "functions",
    "lists",
    "text",
)

LITERATURE = {
    "duboulay1986": "B. du Boulay. Some difficulties of learning to program. Journal of "
    "Educational Computing Research 2(1), 1986.",
    "pea1986": "R. D. Pea. Language-independent conceptual 'bugs' in novice programming. Journal "
    "of Educational Computing Research 2(1), 1986.",
    "spohrer1986": "J. C. Spohrer, E. Soloway. Novice mistakes: are the folk wisdoms correct? "
    "Communications of the ACM 29(7), 1986.",
    "hristova2003": "M. Hristova, A. Misra, M. Rutter, R. Mercuri. Identifying and correcting "
    "Java programming errors for introductory computer science students. SIGCSE 2003.",
    "jadud2006": "M. C. Jadud. Methods and tools for exploring novice compilation behaviour. "
    "ICER 2006.",
    "sirkia2012": "T. Sirkiä, J. Sorva. Exploring programming misconceptions: an analysis of "
    "student mistakes in visual program simulation exercises. Koli Calling 2012.",
    "mccall2014": "D. McCall, M. Kölling. Meaningful categorisation of novice programmer errors. "
    "IEEE Frontiers in Education Conference 2014.",
    "altadmri2015": "A. Altadmri, N. C. C. Brown. 37 million compilations: investigating novice "
    "programming mistakes in large-scale student data. SIGCSE 2015.",
    "brown2017": "N. C. C. Brown, A. Altadmri. Novice Java programming mistakes: large-scale data "
    "vs. educator beliefs. ACM Transactions on Computing Education 17(2), 2017.",
    "qian2017": "Y. Qian, J. Lehman. Students' misconceptions and other difficulties in "
    "introductory programming: a literature review. ACM Transactions on Computing Education "
    "18(1), 2017.",
    "ettles2018": "A. Ettles, A. Luxton-Reilly, P. Denny. Common logic errors made by novice "
    "programmers. Australasian Computing Education Conference 2018.",
    "smith2019": "R. Smith, S. Rixner. The error landscape: characterizing the mistakes of novice "
    "programmers. SIGCSE 2019.",
    "kohn2019": "T. Kohn. The error behind the message: finding the cause of error messages in "
    "Python. SIGCSE 2019.",
}


@dataclass(frozen=True, slots=True)
class BugKind:
    """One kind of novice error."""

    name: str
    category: Category
    topic: Topic
    weight: float
    """Relative frequency where it can be made, for a student of middling skill."""
    cites: tuple[str, ...]
    """Keys of `LITERATURE`."""
    says: str
    """What the student does, in one line."""
    find: Callable[[Source], Iterator[Edits]]

    def places(self, source: Source) -> list[Edits]:
        """Return every way to make this error in the program that changes its text."""
        text = source.text
        return [edits for edits in self.find(source) if edits and splice(text, edits) != text]

    def shows(self, before: str, after: str) -> bool:
        """Whether an edit made this kind of bug: no program any more, or another one."""
        if self.category == "syntax":
            return not compiles(after)
        return compiles(after) and ast_key(after) != ast_key(before)


_CATALOGUE: list[BugKind] = []

Finder: TypeAlias = Callable[[Source], Iterator[Edits]]


def bug(
    category: Category, topic: Topic, weight: float, cites: str, says: str
) -> Callable[[Finder], Finder]:
    """Enter the decorated finder into the catalogue under its own name."""

    def enter(find: Finder) -> Finder:
        keys = tuple(cites.split())
        kind = BugKind(find.__name__, category, topic, weight, keys, says, find)
        _CATALOGUE.append(kind)
        return find

    return enter


@cache
def catalogue() -> tuple[BugKind, ...]:
    """Return all kinds, by category, then name."""
    from novicegym.agents import novice_logic_bugs, novice_runtime_bugs, novice_syntax_bugs

    del novice_logic_bugs, novice_runtime_bugs, novice_syntax_bugs  # importing enters their kinds
    return tuple(sorted(_CATALOGUE, key=lambda kind: (kind.category, kind.name)))


def one(start: int, end: int, new: str) -> Edits:
    """Return a single edit as edits."""
    return (Edit(start, end, new),)
