"""A novice's program as text whose places can be edited.

Covered: a lexer that never fails (student code need not parse), character offsets of AST
nodes, whole-line spans of statements, splicing of edits, names with f-strings taken in.
Edits are made on the text, never by `ast.unparse`: comments, spacing and blank lines stay
as the student typed them, so that two consecutive submissions differ only where the
student changed something.
Not covered: positions inside f-strings, which Python 3.11 does not report.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from keyword import kwlist
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

from novicegym.courses.syntax import parse

Node = TypeVar("Node", bound=ast.AST)
Other = TypeVar("Other", bound=ast.AST)

BUILTINS = frozenset(dir(builtins))
RESERVED = frozenset(kwlist) | BUILTINS

_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<string>(?:[rRbBfFuU]{1,2})?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<name>[^\W\d]\w*)
  | (?P<number>\d+\.\d*|\.\d+|\d+)
  | (?P<newline>\n)
  | (?P<space>[^\S\n]+)
  | (?P<op>\*\*=|//=|==|!=|<=|>=|//|\*\*|[-+*/%]=|->|.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """One lexeme; all tokens together are the whole text."""

    kind: str
    """comment, string, name, number, newline, space or op."""
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset after the last character."""
        return self.start + len(self.text)


class Edit(NamedTuple):
    """Replace text[start:end] by `new`."""

    start: int
    end: int
    new: str


Edits: TypeAlias = tuple[Edit, ...]
"""Edits of one text that do not overlap, made together."""


def splice(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` with all edits made. Raises ValueError where two of them overlap."""
    parts: list[str] = []
    at = 0
    for start, end, new in sorted(edits):
        if start < at:
            raise ValueError(f"edits overlap at offset {start}")
        parts += (text[at:start], new)
        at = end
    parts.append(text[at:])
    return "".join(parts)


def lex(text: str) -> list[Token]:
    """Return the tokens of any text; nothing is left out and nothing is refused."""
    return [
        Token(match.lastgroup or "op", match.group(), match.start())
        for match in _TOKEN.finditer(text)
    ]


def indent_of(line: str) -> str:
    """Return the white space a line starts with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


class Source:
    """One program: text, tokens and, when it parses, its AST with places in the text."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def tree(self) -> ast.Module | None:
        """The syntax tree, or None for code that does not parse."""
        # The parser ends lines at form feeds and carriage returns, where our offsets do not.
        return None if re.search(r"[\r\f\x0b]", self.text) else parse(self.text)

    @cached_property
    def tokens(self) -> list[Token]:
        """All lexemes."""
        return lex(self.text)

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return self.text.split("\n")

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of each line's first character, and one past the end of the text."""
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line) + 1)
        return starts

    def offset(self, lineno: int, column: int) -> int:
        """Return the character offset of a 1-based line and a column in UTF-8 bytes."""
        line = self.lines[lineno - 1]
        chars = column if line.isascii() else len(line.encode()[:column].decode(errors="ignore"))
        return self.line_starts[lineno - 1] + chars

    def start(self, node: ast.AST) -> int:
        """Return the offset of the node's first character."""
        return self.offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        """Return the offset after the node's last character."""
        return self.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def segment(self, node: ast.AST) -> str:
        """Return the node's text."""
        return self.text[self.start(node) : self.end(node)]

    def line_at(self, offset: int) -> int:
        """Return the 1-based number of the line an offset lies in."""
        return self.text.count("\n", 0, offset) + 1

    @cached_property
    def _walk(self) -> list[ast.AST]:
        found: list[ast.AST] = []

        def visit(node: ast.AST) -> None:
            found.append(node)
            if not isinstance(node, ast.JoinedStr):
                for child in ast.iter_child_nodes(node):
                    visit(child)

        if self.tree is not None:
            visit(self.tree)
        return found

    @overload
    def nodes(self, kind: type[Node], /) -> list[Node]: ...
    @overload
    def nodes(self, kind: type[Node], other: type[Other], /) -> list[Node | Other]: ...
    def nodes(self, *kinds: type[ast.AST]) -> list[Any]:
        """Return the nodes of these kinds in tree order, those inside f-strings left out."""
        return [node for node in self._walk if isinstance(node, kinds)]

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Each node's parent."""
        return {child: node for node in self._walk for child in ast.iter_child_nodes(node)}

    @cached_property
    def blocks(self) -> list[list[ast.stmt]]:
        """Every list of statements: module, function bodies, branches, loop bodies."""
        found: list[list[ast.stmt]] = []
        for node in self._walk:
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if isinstance(block, list) and block:
                    found.append(block)
        return found

    def whole_lines(self, node: ast.stmt) -> tuple[int, int] | None:
        """Return the span of the node's lines with their ends; None if it shares a line."""
        first = min([node.lineno] + [d.lineno for d in getattr(node, "decorator_list", [])])
        start, end = self.line_starts[first - 1], self.line_starts[node.end_lineno or first]
        before = self.text[start : self.start(node)]
        after = self.text[self.end(node) : end].strip()
        if (first == node.lineno and before.strip()) or (after and not after.startswith("#")):
            return None
        return start, min(end, len(self.text))

    def enclosing(self, node: ast.AST, *kinds: type[Node]) -> Node | None:
        """Return the innermost ancestor of one of these kinds."""
        parent = self.parents.get(node)
        while parent is not None and not isinstance(parent, kinds):
            parent = self.parents.get(parent)
        return parent

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """The functions the program defines, by name."""
        return {node.name: node for node in self.nodes(ast.FunctionDef)}

    @cached_property
    def variables(self) -> list[str]:
        """Names the program binds as variables or parameters, in order of first appearance."""
        names: dict[str, None] = {}
        for node in self._walk:
            if isinstance(node, ast.arg):
                names[node.arg] = None
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] = None
        return [name for name in names if name not in self.functions and name not in RESERVED]

    def rename(self, mapping: dict[str, str]) -> str:
        """Return the text with names replaced wherever they are names, f-strings included."""
        parts: list[str] = []
        previous = ""
        for token in self.tokens:
            text = token.text
            if token.kind == "name" and previous != ".":
                text = mapping.get(text, text)
            elif token.kind == "string" and is_fstring(text):
                text = _in_braces(text, lambda name: mapping.get(name, name))
            parts.append(text)
            if token.kind != "space":
                previous = token.text
        return "".join(parts)


def is_fstring(literal: str) -> bool:
    """Whether the text of a string token is an f-string."""
    return "f" in literal[: len(literal) - len(literal.lstrip("rRbBfFuU"))].lower()


def _in_braces(literal: str, change: Callable[[str], str]) -> str:
    def replace(match: re.Match[str]) -> str:
        body, mark, rest = match.group(1).partition(":")
        changed = (change(t.text) if t.kind == "name" else t.text for t in lex(body))
        return "{" + "".join(changed) + mark + rest + "}"

    return re.sub(r"\{([^{}]*)\}", replace, literal)


def reindent(lines: Sequence[str], old: str, new: str) -> str:
    """Return the lines, each with its indentation `old` replaced by `new`, joined."""
    return "".join(new + line[len(old) :] if line.startswith(old) else line for line in lines)
