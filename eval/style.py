"""The style of one program: its size, the shape of its tree, how it keeps to PEP 8.

The features by which ParaStudent compares the style of students and of models. They are of
the program without the white space around it, its line ends all line feeds: what a prompt, a
code fence or a file does to a program's ends is not its author's style. A text that is not a
Python program has a size only: the rest is None, never a number that a mean would take in.
PEP 8 violations are pycodestyle's, by its defaults, over the program itself and not a function
wrapped around it; a configuration file of the user changes nothing.

Covered: Python. Not covered: names, wording, and weighing the features against each other.
Counts of PEP 8 violations may differ between versions of Python and of pycodestyle.
"""

from __future__ import annotations

import ast
import io
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from novicegym.courses.syntax import parse
from novicegym.errors import UsageError


@dataclass(frozen=True, slots=True)
class Style:
    """The style of one program; all but its size is None where it does not parse."""

    loc: int
    """Lines, blank ones and comments included; a blank text has none."""
    blank_lines: int
    comment_lines: int
    """Lines that hold a comment and nothing else."""
    characters: int
    ast_depth: int | None
    """Edges from the module to the deepest node."""
    ast_width: int | None
    """Nodes on the level of the tree that has the most."""
    ast_nodes: int | None
    ast_branching: float | None
    """Children of a node that has any, on average; 0 where none has."""
    pep8: int | None
    """Violations that pycodestyle reports."""


def normalized(code: str) -> str:
    """Return `code` without the white space around it and with line feeds for line ends."""
    return code.replace("\r\n", "\n").replace("\r", "\n").strip()


# A program is the end of one transition and the start of the next, from several starts.
@lru_cache(maxsize=4096)
def style_of(code: str) -> Style:
    """Return the style of `code`. UsageError when pycodestyle is not installed."""
    text = normalized(code)
    lines = [line.strip() for line in text.split("\n")] if text else []
    size = (
        len(lines),
        sum(not line for line in lines),
        sum(line.startswith("#") for line in lines),
        len(text),
    )
    tree = parse(text)
    if tree is None:
        return Style(*size, None, None, None, None, None)
    return Style(*size, *_shape(tree), _violations(text))


def _shape(tree: ast.Module) -> tuple[int, int, int, float]:
    """Return depth, width, nodes and branching, level by level."""
    level: list[ast.AST] = [tree]
    depth = -1
    width = nodes = parents = 0
    while level:
        depth, width, nodes = depth + 1, max(width, len(level)), nodes + len(level)
        families = [list(ast.iter_child_nodes(node)) for node in level]
        parents += sum(bool(children) for children in families)
        level = [child for children in families for child in children]
    return depth, width, nodes, (nodes - 1) / parents if parents else 0.0


def _violations(text: str) -> int:
    """Return what pycodestyle counts in a program that parses."""
    pycodestyle, options = _checks()
    # pycodestyle needs every line's end, the last one's included; splitlines would also split
    # at form feeds and other characters that end no line of Python.
    lines = io.StringIO(f"{text}\n" if text else "").readlines()
    return int(pycodestyle.Checker(lines=lines, options=options).check_all())


@cache
def _checks() -> tuple[Any, Any]:
    """Return pycodestyle and its default options."""
    try:
        import pycodestyle
    except ImportError:
        raise UsageError(
            "PEP 8 violations need pycodestyle: pip install 'novicegym[eval]'"
        ) from None
    # Said one by one: the values of a user's ~/.config/pycodestyle would stand otherwise.
    guide = pycodestyle.StyleGuide(
        reporter=pycodestyle.BaseReport,  # counts, and prints nothing
        select=(),
        ignore=tuple(pycodestyle.DEFAULT_IGNORE.split(",")),
        max_line_length=pycodestyle.MAX_LINE_LENGTH,
        max_doc_length=None,
        indent_size=pycodestyle.INDENT_SIZE,
        hang_closing=False,
        verbose=0,
    )
    return pycodestyle, guide.options
