"""CodeBLEU of two Python programs: the same number in every process.

The numbers are those of the package `codebleu` 0.7.0 (Python grammar, equal weights, tokens
split at white space). The package merges data-flow edges in the order of a `set` of names, so
that its score changes with PYTHONHASHSEED; here its data-flow functions run over sets that have
the order of PYTHONHASHSEED=0 in every process. The package itself and its logging stay as
they are.

Covered: any text. Lone surrogates count as "?", as in stored records. An empty text scores 0
in everything. Of a program too large or too deep for the library (its time grows
exponentially with nested loops, and its parser's recursion can end the process) the tree
parts are 1 for equal texts and 0 otherwise.

Not covered: other languages, other weights, several references.
"""

from __future__ import annotations

import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from novicegym.errors import UsageError
from novicegym.rewards.set_order import set_order

MAX_CHARACTERS = 20_000
MAX_TREE_DEPTH = 250
MAX_NESTED_LOOPS = 8


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
    library = _load_library()
    if not reference or not prediction:
        return CodeBleu(0.0, 0.0, 0.0, None, 0.0, 0.0)
    reference, prediction = reference.strip(), prediction.strip()
    tokens, spoken = reference.split(), prediction.split()
    weights = {token: 1.0 if token in library.keywords else 0.2 for token in tokens}
    ngram = float(library.bleu([[tokens]], [spoken]))
    weighted = float(library.weighted_bleu([[[tokens, weights]]], [spoken]))
    wanted, given = _structure(reference), _structure(prediction)
    if wanted is None or given is None:
        syntax = float(reference == prediction)
        dataflow: float | None = syntax
    else:
        found = frozenset(given.subtrees)
        syntax = sum(tree in found for tree in wanted.subtrees) / len(wanted.subtrees)
        edges = wanted.edges.total()
        dataflow = (wanted.edges & given.edges).total() / edges if edges else None
    parts = [ngram, weighted, syntax] + ([] if dataflow is None else [dataflow])
    return CodeBleu(
        ngram=ngram,
        weighted_ngram=weighted,
        syntax=syntax,
        dataflow=dataflow,
        total=0.25 * ngram + 0.25 * weighted + 0.25 * syntax + 0.25 * (dataflow or 1),
        corrected=sum(parts) / len(parts),
    )


@dataclass(frozen=True, slots=True)
class _Structure:
    subtrees: tuple[bytes, ...]
    """Digests of the S-expressions of all inner nodes."""
    edges: Counter[str]
    """The data-flow edges, with variables numbered by first appearance."""


@lru_cache(maxsize=1024)
def _structure(code: str) -> _Structure | None:
    """Return what the tree parts compare; None for a program beyond the limits."""
    if len(code) > MAX_CHARACTERS:
        return None
    library = _load_library()
    with suppress(Exception):  # whatever tokenize says: the library then leaves them in
        code = library.remove_comments(code, "python")
    root = library.parser.parse(code.encode()).root_node
    if not _within_limits(root):
        return None
    subtrees: list[bytes] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        subtrees.append(blake2b(str(node).encode(), digest_size=8).digest())
        waiting += [child for child in node.children if child.children]
    flow = library.data_flow(code, [library.parser, library.python_edges])
    return _Structure(tuple(subtrees), Counter(map(repr, library.normalize(flow))))


def _within_limits(root: Any) -> bool:
    cursor = root.walk()
    depth = loops = 0
    while True:
        loops += cursor.node.type in ("for_statement", "while_statement")
        if depth > MAX_TREE_DEPTH or loops > MAX_NESTED_LOOPS:
            return False
        if cursor.goto_first_child():
            depth += 1
            continue
        while True:
            loops -= cursor.node.type in ("for_statement", "while_statement")
            if cursor.goto_next_sibling():
                break
            if not cursor.goto_parent():
                return True
            depth -= 1


class _FixedOrderSet(dict[Any, None]):
    """What the library's data-flow code needs of `set`, in the order of PYTHONHASHSEED=0."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        items = list(items)
        names = all(isinstance(item, str) for item in items)
        # Only the order of names has a say in the score; the rest are token positions.
        super().__init__(dict.fromkeys(set_order(items) if names else items))

    def add(self, item: Any) -> None:
        self[item] = None


@dataclass(frozen=True, slots=True)
class _Library:
    """The functions of the package that are used here."""

    keywords: frozenset[str]
    parser: Any
    bleu: Callable[..., float]
    weighted_bleu: Callable[..., float]
    remove_comments: Callable[[str, str], str]
    python_edges: Callable[..., Any]
    data_flow: Callable[..., list[Any]]
    normalize: Callable[..., list[Any]]


@lru_cache(maxsize=1)
def _load_library() -> _Library:
    try:
        import tree_sitter
        import tree_sitter_python
        from codebleu import bleu, dataflow_match, weighted_ngram_match
        from codebleu.parser import DFG, remove_comments_and_docstrings
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
        bleu=bleu.corpus_bleu,
        weighted_bleu=weighted_ngram_match.corpus_bleu,
        remove_comments=remove_comments_and_docstrings,
        python_edges=_in_fixed_order(DFG.DFG_python),
        data_flow=_in_fixed_order(dataflow_match.get_data_flow),
        normalize=dataflow_match.normalize_dataflow,
    )


def _in_fixed_order(function: Any) -> Callable[..., Any]:
    """Return a copy of a module's function in which the order of a `set` is fixed."""
    names = {**function.__globals__, "set": _FixedOrderSet}
    copy = types.FunctionType(function.__code__, names, function.__name__)
    names[function.__name__] = copy  # it calls itself
    return copy
