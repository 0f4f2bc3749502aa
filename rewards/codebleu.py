"""CodeBLEU of two Python programs: the same number in every process.

The numbers are those of the package `codebleu` 0.7.0 (Python grammar, equal weights, tokens
split at white space). The package merges data-flow edges in the order of a `set` of names, so
that its score changes with PYTHONHASHSEED; here they are those of PYTHONHASHSEED=0 in every
process. What a program is compared by is worked out once and kept for the next pairs, and without
the package's quadratic steps; of the package, its parser, its keywords and its way with docstrings
are used.

Covered: any text. Lone surrogates count as "?", as in stored records. An empty text scores 0
in everything. Of a program too large or too deep (the time grows exponentially with nested
loops, and recursion can end the process) the tree parts are 1 for equal texts and 0 otherwise.

Not covered: other languages, other weights, several references.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from novicegym.errors import UsageError
from novicegym.rewards.comments import remove_comments
from novicegym.rewards.structure import Kinds, TooLargeError, read_structure

MAX_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class CodeBleu:
    """The score of one prediction; every number is in [0, 1]."""

    ngram: float
    """BLEU-4 over white-space tokens, smoothed."""
    weighted_ngram: float
    """Recall of n-grams in which keywords weigh 1 and other tokens 0.2."""
    syntax: float
    """Share of the reference's subtrees that the prediction has; names do not count."""
    dataflow: float | None
    """Share of the reference's data-flow edges that the prediction has; None where it has none."""
    total: float
    """The library's number: a data-flow score of 0, or none, is counted as 1."""
    corrected: float
    """The mean of the parts there are: data flow is left out where it is None, and a 0 stays 0."""


def codebleu(reference: str, prediction: str) -> CodeBleu:
    """Return the score of `prediction` against `reference`.

    Not symmetric, and below 1 for identical programs of fewer than four tokens. Raises
    UsageError when the package is not installed.
    """
    return _codebleu(_storable(reference), _storable(prediction))


def require_codebleu() -> None:
    """Raise UsageError when the package is not installed."""
    _load_library()


def _storable(code: str) -> str:
    return code.encode("utf-8", "replace").decode()


@lru_cache(maxsize=50_000)
def _codebleu(reference: str, prediction: str) -> CodeBleu:
    if not reference or not prediction:
        _load_library()
        return CodeBleu(0.0, 0.0, 0.0, None, 0.0, 0.0)
    reference, prediction = reference.strip(), prediction.strip()
    wanted, given = _program(reference), _program(prediction)
    matches = [len(a & b) for a, b in zip(wanted.ngrams, given.ngrams, strict=True)]
    keywords = len(wanted.keywords & given.ngrams[0])
    weighted = [_weight(keywords, matches[0]), *matches[1:]]
    totals = [_weight(len(wanted.keywords), len(wanted.ngrams[0])), *map(len, wanted.ngrams[1:])]
    ngram = _bleu(matches, list(map(len, given.ngrams)), wanted.words, given.words)
    # The package takes the length of (tokens, weights) for the reference's.
    weighted_ngram = _bleu(weighted, totals, 2, given.words)
    if wanted.structure is None or given.structure is None:
        syntax = float(reference == prediction)
        dataflow: float | None = syntax
    else:
        trees, edges = wanted.structure.subtrees, wanted.structure.edges
        found = trees.keys() & given.structure.subtrees.keys()
        syntax = sum([trees[tree] for tree in found]) / trees.total()
        dataflow = len(edges & given.structure.edges) / len(edges) if edges else None
    parts = [ngram, weighted_ngram, syntax] + ([] if dataflow is None else [dataflow])
    return CodeBleu(
        ngram=ngram,
        weighted_ngram=weighted_ngram,
        syntax=syntax,
        dataflow=dataflow,
        total=0.25 * ngram + 0.25 * weighted_ngram + 0.25 * syntax + 0.25 * (dataflow or 1),
        corrected=sum(parts) / len(parts),
    )


def _weight(keywords: int, tokens: int) -> float:
    return keywords + 0.2 * (tokens - keywords)


def _bleu(
    matches: Sequence[float], totals: Sequence[float], reference_words: int, words: int
) -> float:
    """Return the geometric mean of the shares of n-grams, times the brevity penalty."""
    if not matches[0]:
        return 0.0
    shares = [(match or 0.1) / max(1, total) for match, total in zip(matches, totals, strict=True)]
    penalty = 1.0 if words > reference_words else math.exp(1 - reference_words / words)
    return penalty * math.exp(math.fsum(0.25 * math.log(share) for share in shares))


@dataclass(frozen=True, slots=True)
class _Program:
    """What a program is compared by: hashes, in sets made by `_multiset`.

    They differ from process to process; the scores do not, as 64 bits are enough.
    """

    words: int
    ngrams: tuple[frozenset[int], ...]
    """Those of 1, 2, 3 and 4 tokens."""
    keywords: frozenset[int]
    """Those of 1 token that are keywords."""
    structure: _Structure | None
    """None for a program beyond the limits."""


@dataclass(frozen=True, slots=True)
class _Structure:
    subtrees: Counter[int]
    edges: frozenset[int]


def _program(code: str) -> _Program:
    return _read_program(code) if len(code) <= MAX_CHARACTERS else _read_program.__wrapped__(code)


@lru_cache(maxsize=512)
def _read_program(code: str) -> _Program:
    tokens = code.split()
    later = [tokens[at:] for at in range(4)]
    keywords = _load_library().keywords
    return _Program(
        words=len(tokens),
        ngrams=tuple([_multiset(zip(*later[:n], strict=False)) for n in (1, 2, 3, 4)]),
        keywords=_multiset((token,) for token in tokens if token in keywords),
        structure=_structure(_clean(code)) if len(code) <= MAX_CHARACTERS else None,
    )


def _clean(code: str) -> str:
    clean = remove_comments(code)
    if clean is None:
        clean = code
        with suppress(Exception):  # whatever tokenize says: the package then leaves them in
            clean = _load_library().remove_comments(code, "python")
    return clean


@lru_cache(maxsize=512)  # of its own: many programs differ in comments and blank lines alone
def _structure(clean: str) -> _Structure | None:
    library = _load_library()
    root = library.parser.parse(clean.encode()).root_node
    try:
        structure = read_structure(root, clean, library.kinds)
    except TooLargeError:
        return None
    return _Structure(Counter(structure.subtrees), _multiset(structure.edges))


def _multiset(items: Iterable[Hashable]) -> frozenset[int]:
    """Return hashes of the items; of one that is there again, another for each time.

    Two such sets share as many elements as the multisets do.
    """
    hashes = list(map(hash, items))
    distinct = frozenset(hashes)
    if len(distinct) == len(hashes):
        return distinct
    counts = Counter(hashes).items()
    return distinct.union([hash((item, n)) for item, count in counts for n in range(1, count)])


@dataclass(frozen=True, slots=True)
class _Library:
    """What is used of the package."""

    keywords: frozenset[str]
    parser: Any
    kinds: Kinds
    remove_comments: Callable[[str, str], str]


@lru_cache(maxsize=1)
def _load_library() -> _Library:
    try:
        import tree_sitter
        import tree_sitter_python
        from codebleu import bleu
        from codebleu.parser import remove_comments_and_docstrings
    except ImportError as error:
        raise UsageError(
            f"CodeBLEU needs packages that are not installed ({error}); "
            "run: pip install 'novicegym[eval]'"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the grammar hands over an int
        language = tree_sitter.Language(tree_sitter_python.language())
    parser = tree_sitter.Parser()
    parser.language = language
    keywords = Path(bleu.__file__).with_name("keywords") / "python.txt"
    return _Library(
        keywords=frozenset(line.strip() for line in keywords.read_text("utf-8").splitlines()),
        parser=parser,
        kinds=Kinds(language),
        remove_comments=remove_comments_and_docstrings,
    )
