"""What Python's own parser says of a submission, and when two submissions are the same program.

Covered: any text at all, hostile nesting, NUL and lone surrogates included; nothing here
raises. Three kinds of sameness, each as a key with equal keys for equal programs:

- ``exact``    equal `ast.dump` without attributes: comments, white space and quotes do not
               count, names and docstrings do.
- ``renamed``  the published code's: every name, builtins included, is renamed by first
               appearance, function definitions in a table of their own. It calls
               `len(x)` and `sum(x)` the same; use it only to compare with published numbers.
- ``alpha``    local variables, parameters and the student's own functions are renamed,
               scope by scope (`novicegym.courses.alpha`); equal keys mean equal behaviour.

A text that does not parse is compared as text, stripped.

Not covered: whether a program that parses also compiles (`return` outside a function does
not); ask `compiles`.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, TypeAlias, get_args

from novicegym.courses.alpha import resolve_names
from novicegym.errors import unknown_name

AstKind: TypeAlias = Literal["exact", "renamed", "alpha"]

AST_KINDS: tuple[AstKind, ...] = get_args(AstKind)

MAX_DEPTH = 200
"""Trees nested deeper are not parsed: how deep CPython itself goes depends on the caller's
stack, and a recursive walk over what `parse` returns must be safe. An `elif` is a level."""

_REFUSALS = (
    SyntaxError,
    ValueError,  # NUL, lone surrogates, numbers of too many digits
    OverflowError,
    RecursionError,
    MemoryError,  # what the parser says when its stack is full
    SystemError,
)

_Rename: TypeAlias = Callable[[ast.AST, str], str]
"""Gives the text that stands in the key for an identifier of a node."""


def compiles(code: str) -> bool:
    """Return whether Python compiles `code` as a program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "<submission>", "exec", dont_inherit=True)
    except _REFUSALS:
        return False
    return True


def parse(code: str) -> ast.Module | None:
    """Return the tree of `code`, at most `MAX_DEPTH` deep; None when there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except _REFUSALS:
        return None
    return tree if _depth_within(tree, MAX_DEPTH) else None


def ast_key(code: str, kind: AstKind = "exact") -> str:
    """Return a key that two texts share when they are the same program in the sense of `kind`."""
    if kind not in AST_KINDS:
        raise unknown_name("kind of AST match", kind, AST_KINDS)
    tree = parse(code)
    if tree is None:
        return f"unparsable:{code.strip()}"
    if kind == "exact":
        return _dump(tree, lambda node, name: repr(name))
    if kind == "renamed":
        return _dump(tree, _published_names(tree))
    return _dump(tree, _bound_names(tree))


def same_ast(a: str, b: str, kind: AstKind = "exact") -> bool:
    """Return whether two texts are the same program in the sense of `kind`."""
    return a == b or _digest(a, kind) == _digest(b, kind)


# A logged program is compared again from every start of a rollout; the keys are long.
@lru_cache(maxsize=10_000)
def _digest(code: str, kind: AstKind) -> bytes:
    return blake2b(ast_key(code, kind).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _depth_within(tree: ast.AST, limit: int) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(limit):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False


def _published_names(tree: ast.Module) -> _Rename:
    # The published transformer does not descend into the annotations of parameters.
    unvisited = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.arg) and node.annotation is not None
        for inner in ast.walk(node.annotation)
    }
    variables: dict[str, int] = {}
    functions: dict[str, int] = {}

    def rename(node: ast.AST, name: str) -> str:
        if id(node) in unvisited:
            return repr(name)
        if isinstance(node, ast.FunctionDef):
            return f"func_{functions.setdefault(name, len(functions))}"
        if isinstance(node, (ast.Name, ast.arg)):
            return f"var_{variables.setdefault(name, len(variables))}"
        return repr(name)

    return rename


def _bound_names(tree: ast.Module) -> _Rename:
    bindings = resolve_names(tree)
    numbers: dict[object, int] = {}

    def rename(node: ast.AST, name: str) -> str:
        binding = bindings.get((id(node), name))
        if binding is None:
            return repr(name)
        return f"name_{numbers.setdefault(binding, len(numbers))}"

    return rename


def _dump(tree: ast.Module, rename: _Rename) -> str:
    """`ast.dump(tree)` with identifiers as `rename` writes them, without recursion."""
    out: list[str] = []
    waiting: list[ast.AST | str] = [tree]  # text in here is ready to be written
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            out.append(item)
            continue
        parts: list[ast.AST | str] = [f"{type(item).__name__}("]
        for field, value in ast.iter_fields(item):
            parts.append(f"{field}=")
            if isinstance(value, list):
                parts.append("[")
                for member in value:
                    parts += [_leaf(item, member, rename), ","]
                parts.append("]")
            else:
                parts.append(_leaf(item, value, rename))
            parts.append(",")
        parts.append(")")
        waiting += reversed(parts)
    return "".join(out)


def _leaf(node: ast.AST, value: object, rename: _Rename) -> ast.AST | str:
    if isinstance(value, ast.AST):
        return value
    if isinstance(value, str) and not isinstance(node, ast.Constant):
        return rename(node, value)
    # Python refuses to write very long ints in decimal.
    return hex(value) if type(value) is int else repr(value)
