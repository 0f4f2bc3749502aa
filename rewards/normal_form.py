"""One statement without its names: its tokens, their n-grams, and the subtrees of its tree.

Variables, parameters and the program's own functions are numbered by first appearance **within the
n-gram or subtree**: `i + 1` is the same part of `total = i + 1` and of `total = n - (i + 1)`, and
`x = x + y` is another statement than `x = y + x`. Kept as they are: keywords, methods, builtin
functions where they are called, exceptions, modules.

Covered: comments, layout, quotes, needless parentheses, docstrings, annotations, `x += y` for
`x = x + y`, text that is asked for (`input("...")`) or printed (a string of over three characters
is "some text"), f-strings.

Left out, because they tell of a test and not of a program: expressions of literals alone, and
calls of the program's own functions with literals (`is_mirror("zoo") == False`).

Of a statement deeper than `MAX_TREE_DEPTH` the tokens stand as they are written, and the subtrees
are those of its parts that are less deep.

Not covered: which variable it is, across statements: `return low` and `return high` are the same.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

MAX_NGRAM = 4
MAX_TREE_DEPTH = 50
"""Of what is read as one tree. Walks over it and `ast.unparse` recurse."""
_LONGEST_WORD = 3
_LARGEST_NUMBER = 10**9

_BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_"))
# An escaped quote is one token, so that no quote without an end is looked at twice.
_TOKEN = re.compile(
    r"\$?[^\W\d]\w*+|\d++\.?\d*+(?:[eE][-+]?\d+)?"
    r"|'(?:[^'\\\n]|\\.)*+'|\"(?:[^\"\\\n]|\\.)*+\"|\\['\"]"
    r"|//|\*\*|<<|>>|[<>=!:+*/%-]=|->|\S"
)
_COMMENT = re.compile(r"('(?:[^'\\\n]|\\.)*+'|\"(?:[^\"\\\n]|\\.)*+\"|\\['\"])|#[^\n]*+")
_AUGMENTED = re.compile(r"\s*+([^=]+?)\s*+(//|\*\*|[-+*/%])=(?!=)")
_VARIABLE = re.compile(r"\$\w+")
_COMMON = frozenset("()[]{},:.=") | {"$0"}
"""What nearly every statement has: alone, it says nothing."""
_OPERATIONS = (
    *(ast.BinOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.Attribute, ast.IfExp, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
_NAMED = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler),
    *(ast.MatchAs, ast.MatchStar),
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, without what its block holds."""

    tokens: tuple[str, ...]
    """Names of variables begin with "$"."""
    form: str
    """Equal for statements that differ in names only."""
    ngrams: frozenset[str]
    subtrees: frozenset[str]
    texts: tuple[str, ...]
    """Its strings that are "some text", and the name of the function it defines."""
    is_parsed: bool
    """False for a line that was read into tokens only."""
    is_call: bool
    """An expression that is a call: of a builtin, of a method or with a variable."""
    is_bare: bool
    """Another expression, whose value goes nowhere: may be data, not program."""
    operates: bool
    """More than names and literals: as an ordinary sentence could not be by chance."""


@lru_cache(maxsize=8)
def head_word(word: str) -> Statement:
    """Return the head of a block that is a word alone, as `else:`."""
    tokens = (word, ":")
    return Statement(tokens, word, ngrams(tokens), frozenset({word}), (), True, False, False, False)


def unparsed(line: str) -> Statement:
    """Return a line that does not parse."""
    tokens = raw_tokens(_COMMENT.sub(lambda one: one[1] or "", line))
    form = numbered(" ".join(tokens))
    return Statement(tokens, form, ngrams(tokens), frozenset(), (), False, False, False, False)


def statement_of(node: Any, word: str, source: Callable[[], str]) -> Statement | None:
    """Read one statement, taking it apart; None for one that says nothing.

    word: "elif" where it is one. source: gives the text of it, without what its block holds.
    """
    for field in ("body", "orelse", "finalbody", "handlers", "cases", "decorator_list"):
        if isinstance(getattr(node, field, None), list):
            setattr(node, field, [ast.Pass()] if field == "body" else [])
    if isinstance(node, ast.AnnAssign) and node.value is None:
        node = ast.Expr(node.annotation)  # "Write: print(total)" is such a thing, too
    is_test = isinstance(node, ast.Assert | ast.Expr)
    if isinstance(node, ast.Pass) or (is_test and _says_nothing(node)):
        return None
    value = node.value if isinstance(node, ast.Expr) else None
    is_call = isinstance(value, ast.Call)
    operates = any(_operates(inner) for inner in ast.walk(node))
    if not _depth_within(node, MAX_TREE_DEPTH):
        return _deep(node, source(), is_call, value is not None and not is_call)
    normal = _Normal()
    node = normal.visit(node)
    text = ast.unparse(node).strip().split("\n")[0]
    tokens = tuple(_TOKEN.findall(text))
    if word:
        tokens = (word, *tokens[1:])
    subtrees: set[str] = set()
    _dump(node, subtrees)
    return Statement(
        tokens=tokens,
        form=numbered(" ".join(tokens)),
        ngrams=ngrams(tokens),
        subtrees=frozenset(subtrees),
        texts=tuple(normal.texts),
        is_parsed=True,
        is_call=is_call,
        is_bare=value is not None and not is_call,
        operates=operates,
    )


def _deep(node: ast.AST, source: str, is_call: bool, is_bare: bool) -> Statement:
    if isinstance(node, ast.AugAssign):
        source = _AUGMENTED.sub(r"\1 = \1 \2 ", source, count=1)
    normal, subtrees = _Normal(), set[str]()
    for part in _shallow_parts(node):
        _dump(normal.visit(part), subtrees)
    return replace(
        unparsed(source),
        subtrees=frozenset(subtrees),
        texts=tuple(normal.texts),
        is_parsed=True,
        is_call=is_call,
        is_bare=is_bare,
        operates=True,
    )


def _shallow_parts(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the largest expressions in `node` that are no deeper than `MAX_TREE_DEPTH`."""
    nodes = list(ast.walk(node))  # parents before their children
    depth: dict[int, int] = {}
    for inner in reversed(nodes):
        below = (depth[id(child)] for child in ast.iter_child_nodes(inner))
        depth[id(inner)] = 1 + max(below, default=0)
    for parent in nodes:
        if depth[id(parent)] > MAX_TREE_DEPTH:
            for child in ast.iter_child_nodes(parent):
                if isinstance(child, ast.expr) and depth[id(child)] <= MAX_TREE_DEPTH:
                    yield child


def raw_tokens(text: str) -> tuple[str, ...]:
    """Return the tokens of a text that need not parse, variables as in a `Statement`."""
    found = _TOKEN.findall(text)
    names = []
    for at, token in enumerate(found):
        is_name = token[0].isidentifier() and not keyword.iskeyword(token)
        follows = found[at + 1] if at + 1 < len(found) else ""
        kept = (token in _BUILTINS and follows == "(") or (at and found[at - 1] == ".")
        if token[0] in "'\"":
            token = token if len(token) <= _LONGEST_WORD + 2 else "TEXT"
        names.append(f"${token}" if is_name and not kept else token)
    return tuple(names)


def ngrams(tokens: Sequence[str]) -> frozenset[str]:
    """Return the n-grams of up to `MAX_NGRAM` tokens that say something."""
    found = {
        numbered(" ".join(tokens[at : at + n]))
        for n in range(1, MAX_NGRAM + 1)
        for at in range(len(tokens) - n + 1)
    }
    return frozenset(found - _COMMON)


def numbered(text: str) -> str:
    """Return `text` with its variables numbered by first appearance."""
    numbers: dict[str, str] = {}
    return _VARIABLE.sub(lambda name: numbers.setdefault(name[0], f"${len(numbers)}"), text)


def _depth_within(node: ast.AST, limit: int) -> bool:
    level = [node]
    for _ in range(limit):
        level = [child for parent in level for child in ast.iter_child_nodes(parent)]
        if not level:
            return True
    return False


def _operates(node: ast.AST) -> bool:
    return isinstance(node, _OPERATIONS) or _calls_builtin(node)


def _calls_builtin(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _BUILTINS
    )


def _says_nothing(statement: ast.Expr | ast.Assert) -> bool:
    nodes = list(ast.walk(statement))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    variables = [node for node in nodes if isinstance(node, ast.Name) and id(node) not in called]
    if not variables:
        own = any(isinstance(node, ast.Call) and not _calls_builtin(node) for node in nodes)
        methods = any(isinstance(node, ast.Attribute) for node in nodes)
        return not methods and (own or not any(map(_calls_builtin, nodes)))
    return not any(_operates(node) or isinstance(node, ast.Call) for node in nodes)


class _Normal(ast.NodeTransformer):
    """Marks variables with "$" and makes one of the ways to write the same."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def visit_Name(self, node: ast.Name) -> ast.AST:
        # Exceptions are called by nobody, and no student names a variable like one.
        kept = node.id in _BUILTINS and node.id[0].isupper()
        return node if kept else ast.Name(f"${node.id}", node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func
        if not _calls_builtin(node):
            node.func = self.visit(node.func)
        elif isinstance(name, ast.Name) and name.id == "input":
            node.args, node.keywords = [], []
        node.args = [self.visit(argument) for argument in node.args]
        for option in node.keywords:
            option.value = self.visit(option.value)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, str | bytes) and len(value) > _LONGEST_WORD:
            self.texts.append(repr(value))
            return ast.Name("TEXT", ast.Load())
        if type(value) is int and abs(value) > _LARGEST_NUMBER:
            return ast.Name("NUMBER", ast.Load())  # Python refuses to write very long ones
        return ast.Constant(value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.texts += (repr(part.value) for part in node.values if isinstance(part, ast.Constant))
        values = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return ast.Call(ast.Name("TEXT", ast.Load()), [self.visit(value) for value in values], [])

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        target = self.visit(node.target)
        return _assign(target, ast.BinOp(target, node.op, self.visit(node.value)))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert node.value is not None, "the others were made expressions"
        return _assign(self.visit(node.target), self.visit(node.value))

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg, node.annotation = f"${node.arg}", None
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        node.asname = None if node.asname is None else f"${node.asname}"
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            self.texts.append(node.name)
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [f"${name}" for name in node.names]
        elif isinstance(node, _NAMED) and node.name is not None:
            node.name = f"${node.name}"
        return super().generic_visit(node)


def _assign(target: ast.expr, value: ast.expr) -> ast.Assign:
    return ast.Assign([target], value, lineno=0)  # `ast.unparse` looks for a type comment by line


def _dump(node: ast.AST, subtrees: set[str]) -> str:
    """Return the tree as text; add it and the subtrees that are more than a name or literal."""
    parts = [type(node).__name__]
    for field, value in ast.iter_fields(node):
        if field in ("ctx", "type_comment", "kind"):
            continue
        for part in value if isinstance(value, list) else [value]:
            parts.append(_dump(part, subtrees) if isinstance(part, ast.AST) else repr(part))
        parts.append(";")
    text = f"({' '.join(parts)})"
    is_leaf = isinstance(node, ast.Name | ast.Constant | ast.Pass)
    if isinstance(node, ast.expr | ast.stmt | ast.excepthandler) and not is_leaf:
        subtrees.add(numbered(text))
    return text
