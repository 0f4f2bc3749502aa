"""How far apart two programs are, and the nearest of many at once.

A program is a multiset of features: of its AST where it parses, of its tokens always. The AST
features are (parent type, field, label) of every node, where the label is the node's type with
what distinguishes it: the operator, constant, attribute or name. Names the program itself
binds all count as one, so that renaming a variable costs nothing. The distance of two
multisets is 1 - |intersection| / |union| (Jaccard), in [0, 1]; it compares ASTs where both
programs parse, else tokens.

Not covered: order beyond parent and field. It is a measure for finding neighbours among
thousands in a millisecond, not an edit distance.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from novicegym.courses.syntax import parse

Floats: TypeAlias = npt.NDArray[np.float64]

_TOKEN = re.compile(r"\w+|[^\w\s]")


class CodeIndex:
    """Programs prepared for asking how far each of them is from another."""

    def __init__(self, codes: Sequence[str]) -> None:
        trees = [_ast_features(code) for code in codes]
        self._parses = np.array([tree is not None for tree in trees], dtype=bool)
        self._trees = _Multisets([tree or Counter() for tree in trees])
        self._tokens = _Multisets([_token_features(code) for code in codes])

    def distances(self, code: str) -> Floats:
        """Return the distance of `code` to every program of the index."""
        by_token = self._tokens.distances(_token_features(code))
        tree = _ast_features(code)
        if tree is None:
            return by_token
        return np.where(self._parses, self._trees.distances(tree), by_token)


class _Multisets:
    """An inverted index: for each feature, who has it and how often."""

    def __init__(self, multisets: Sequence[Counter[str]]) -> None:
        self._sizes = np.array([multiset.total() for multiset in multisets], dtype=np.float64)
        holders: dict[str, tuple[list[int], list[int]]] = {}
        for place, multiset in enumerate(multisets):
            for feature, count in multiset.items():
                places, counts = holders.setdefault(feature, ([], []))
                places.append(place)
                counts.append(count)
        self._holders = {
            feature: (np.array(places, dtype=np.int32), np.array(counts, dtype=np.int32))
            for feature, (places, counts) in holders.items()
        }

    def distances(self, query: Counter[str]) -> Floats:
        shared = np.zeros(len(self._sizes))
        for feature, count in query.items():
            if feature in self._holders:
                places, counts = self._holders[feature]
                shared[places] += np.minimum(counts, count)
        union = self._sizes + query.total() - shared
        # Two empty programs are the same program.
        return np.where(union > 0, 1.0 - shared / np.maximum(union, 1.0), 0.0)


def _token_features(code: str) -> Counter[str]:
    return Counter(_TOKEN.findall(code))


def _ast_features(code: str) -> Counter[str] | None:
    tree = parse(code)
    if tree is None:
        return None
    nodes = list(ast.walk(tree))
    own = _bound_names(nodes)
    features: Counter[str] = Counter()
    for parent in nodes:
        kind = type(parent).__name__
        for name, child in _children(parent):
            features[f"{kind}.{name} {_label(child, own)}"] += 1
    return features


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.expr_context):
                yield name, child


def _label(node: ast.AST, own: set[str]) -> str:
    kind = type(node).__name__
    if isinstance(node, ast.Name):
        return kind if node.id in own else f"{kind} {node.id}"
    if isinstance(node, ast.Constant):
        # Python refuses to write very long ints in decimal.
        return f"{kind} {hex(node.value) if type(node.value) is int else repr(node.value)}"
    if isinstance(node, ast.Attribute):
        return f"{kind} {node.attr}"
    if isinstance(node, ast.keyword):
        return f"{kind} {node.arg}"
    if isinstance(node, ast.alias):
        return f"{kind} {node.name}"
    return kind


def _bound_names(nodes: Iterable[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names
