"""What CodeBLEU compares of a program's syntax tree: its subtrees and its data-flow edges.

The results are those of the package `codebleu` 0.7.0 for Python, which copies all known names
at every node, sorts at every level and writes every subtree as text. Here one walk reads the
tree, and one pass over its variables follows the data flow.

The package's rules are kept, the odd ones too: a number or a string is a variable; `a.b = c + d`
assigns part by part, as both sides have three parts; loops are followed twice, and the body of
one with an `else` not at all; where a variable is written in several passes, its sources are merged
in the order of a `set` of names, here that of PYTHONHASHSEED=0; and where the package fails, as on
`a.b = "text"`, a program has no data flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from novicegym.rewards.set_order import set_order

MAX_TREE_DEPTH = 250
MAX_NESTED_LOOPS = 8

Edge: TypeAlias = tuple[int, str, tuple[int, ...]]
"""(variable, relation, its sources); variables are numbered by first appearance."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The parts of one program."""

    subtrees: list[int]
    """Hashes of the S-expressions of all inner nodes; they differ from process to process."""
    edges: list[Edge]


class TooLargeError(Exception):
    """The tree is too deep, or too many loops, each followed twice, are in one another."""


class Kinds(dict[int, tuple[str, bool, bool]]):
    """By tree-sitter's number of a type of node: (its name, whether it is a named node, whether
    it is a keyword or a sign of one word)."""

    def __init__(self, language: Any) -> None:
        super().__init__()
        self._language = language

    def __missing__(self, number: int) -> tuple[str, bool, bool]:
        kind: str = self._language.node_kind_for_id(number)
        named: bool = self._language.node_kind_is_named(number)
        self[number] = kind, named, not named and " " not in kind
        return self[number]


def read_structure(root: Any, code: str, kinds: Kinds) -> Structure:
    """Return the parts of `code`, whose tree has the tree-sitter node `root`.

    Raises TooLargeError beyond the limits above.
    """
    reader = _Reader(root, code, kinds)
    steps: list[_Step] = []
    reader.read(root, root.type, steps, None, 0, 0, False)
    flow = _Flow(reader)
    try:
        flow.follow(steps, {})
    except LookupError:  # where the package fails, too
        return Structure(reader.subtrees, [])
    return Structure(reader.subtrees, flow.normalized())


_LOOPS = frozenset({"for_statement", "while_statement"})
_SIDES = ("left", "right")
_FIELDS = {
    "assignment": _SIDES,
    "augmented_assignment": _SIDES,
    "for_in_clause": _SIDES,
    "for_statement": _SIDES,
    "default_parameter": ("name", "value"),
    "if_statement": (),
    "while_statement": (),
}
"""The types of node in which data flows in a way of its own, with the fields it goes by."""


class _Statement(NamedTuple):
    """A node of one of these types."""

    kind: str
    parts: Sequence[_Part]
    fields: Sequence[_Part | None]


class _Part(NamedTuple):
    """A node below a statement, or below such a one."""

    kind: str
    steps: Sequence[_Step]
    """What there is to follow in it, in order."""
    start: int
    end: int
    """Its variables are those from `start` up to `end`."""
    parts: Sequence[_Part]
    """Only where data may flow part by part: where both sides may have some."""


_Step: TypeAlias = int | _Statement
"""An int is a variable: a leaf that is not spelled like its type, as a name or a number."""


class _Reader:
    """One walk over a tree."""

    def __init__(self, root: Any, code: str, kinds: Kinds) -> None:
        self.subtrees: list[int] = []
        self.texts: list[str] = []
        """Of each variable."""
        self.names: list[bool] = []
        """Whether a variable is a name."""
        self.empty: dict[int, list[int]] = {}
        """By place, the variables without a text, as a parser puts in where one is missing."""
        self._kinds = kinds
        self._code = code if code.isascii() else _spread(code)
        self._has_error = root.has_error
        # Otherwise keywords and signs of one word are spelled like their types.
        self._any_spelling = self._has_error or not code.isascii()

    def read(
        self,
        node: Any,
        kind: str,
        steps: list[_Step],
        parts: list[_Part] | None,
        depth: int,
        loops: int,
        quoted: bool,
    ) -> int:
        """Add what there is to follow to `steps`; return a hash of the node's S-expression.

        parts: where its parts are wanted. quoted: it is part of a string, which is one token.
        """
        loops += kind in _LOOPS
        if depth >= MAX_TREE_DEPTH or loops > MAX_NESTED_LOOPS:
            raise TooLargeError
        fields = None if quoted else _FIELDS.get(kind)
        inner = steps
        part_by_part = False
        if fields is not None:
            inner, parts = [], [] if parts is None else parts
            found = [node.child_by_field_name(field) for field in fields]
            part_by_part = fields is _SIDES and found[0] is not None and found[0].child_count > 0
        elif kind == "string" and not quoted:
            self._add_token(node, kind, steps)
            quoted = True
        into, front = inner, len(inner)
        start = 0
        below_parts: list[_Part] | None = None
        children = node.children
        expression: list[object] = [kind]
        kinds, as_its_type = self._kinds, not self._any_spelling
        for position, child in enumerate(children):
            below, shown, is_sign = kinds[child.kind_id]
            if parts is not None:
                into, start = [], len(self.texts)
                below_parts = [] if part_by_part else None
            if is_sign and as_its_type:
                pass
            elif child.child_count:
                part: object = self.read(child, below, into, below_parts, depth + 1, loops, quoted)
            else:
                part = below
                if not quoted and below != "comment":
                    self._add_token(child, below, into)
            if shown:
                expression += (node.field_name_for_child(position), part)
            if parts is not None:
                inner += into
                parts.append(_Part(below, into, start, len(self.texts), below_parts or ()))
            if below == "for_in_clause" and child.child_count and not quoted:
                inner.insert(front, inner.pop())  # a comprehension begins with its `for`
                front += 1
        if fields is not None and parts is not None:
            sides = [None if side is None else parts[children.index(side)] for side in found]
            steps.append(_Statement(kind, parts, sides))
        by_text = not node.is_named or (self._has_error and _tells_an_error(node))
        key = hash(str(node) if by_text else tuple(expression))
        self.subtrees.append(key)
        return key

    def _add_token(self, node: Any, kind: str, steps: list[_Step]) -> None:
        start, end = node.start_byte, node.end_byte
        text = self._code[start:end].replace("\n", "")
        if text == kind:
            return
        variable = len(self.texts)
        steps.append(variable)
        self.texts.append(text)
        self.names.append(kind == "identifier")
        if start == end:
            self.empty.setdefault(start, []).append(variable)


def _tells_an_error(node: Any) -> bool:
    """Return whether there is an error in the node's S-expression.

    A missing line end or dedent is there, and not among the children; and there are errors that
    are not there.
    """
    if not node.has_error:
        return False
    text = str(node)
    return "(ERROR" in text or "(MISSING" in text or "(UNEXPECTED" in text


def _spread(code: str) -> str:
    """Return text in which a byte's offset is that of a character.

    The package cuts lines of characters at columns of bytes; the line ends that are put in here
    are taken out of every token.
    """
    return "\n".join(line.ljust(len(line.encode()), "\n") for line in code.split("\n"))


_Found: TypeAlias = tuple[int, str, tuple[str, ...]]
"""An edge: a variable, the relation, the texts of its sources."""

_States: TypeAlias = dict[str, tuple[int, ...]]
"""The names that have a value, with the variables that may have given it, as far as it is not
yet known that these are a source of something."""


class _Flow:
    """One pass over a program's variables in the order in which they get their values."""

    def __init__(self, reader: _Reader) -> None:
        self._texts = reader.texts
        self._names = reader.names
        # The package finds a variable by its place: of several empty ones, the last.
        self._places = list(range(len(reader.texts)))
        for variables in reader.empty.values():
            for variable in variables:
                self._places[variable] = variables[-1]
        self._found: list[_Found] = []
        self._sources: set[int] = set()
        """The variables that something comes from."""

    def normalized(self) -> list[Edge]:
        """Return an edge for each variable that has a source or is one."""
        edges: dict[int, _Found] = {}
        for edge in sorted(self._found, key=itemgetter(0)):
            variable = edge[0]
            edges[variable] = _merged(edges[variable], edge) if variable in edges else edge
        numbers: dict[str, int] = {}
        numbered = []
        for variable, relation, sources in edges.values():
            if sources or variable in self._sources:
                come = tuple([numbers.setdefault(source, len(numbers)) for source in sources])
                number = numbers.setdefault(self._texts[variable], len(numbers))
                numbered.append((number, relation, come))
        return numbered

    def follow(self, steps: Sequence[_Step], states: _States) -> None:
        """Add the edges of `steps`, changing `states`."""
        places, texts, found = self._places, self._texts, self._found
        for step in steps:
            if not isinstance(step, int):
                _FOLLOW[step.kind](self, step, states)
                continue
            text = texts[step]
            if text in states:
                found.append((places[step], "comesFrom", (text,)))
                if states[text]:
                    self._sources.update(states[text])
                    states[text] = ()
            else:
                found.append((places[step], "comesFrom", ()))
                if self._names[step]:
                    states[text] = (places[step],)

    def _parameter(self, statement: _Statement, states: _States) -> None:
        name, value = statement.fields
        if value is None:
            self._set(name, "comesFrom", 0, 0, states)
            return
        self.follow(value.steps, states)
        for source in range(value.start, value.end):
            self._set(name, "comesFrom", source, source + 1, states)
        for step in _variables(name):  # where the value has no variables, too
            states[self._texts[step]] = (self._places[step],)

    def _assign(self, statement: _Statement, states: _States) -> None:
        left, right = statement.fields
        if right is not None:
            self._compute(*_sides(left, right), states)

    def _comprehend(self, statement: _Statement, states: _States) -> None:
        self._compute([statement.fields[0]], [statement.parts[-1]], states)

    def _compute(
        self, left: Sequence[_Part | None], right: Sequence[_Part], states: _States
    ) -> None:
        for part in right:
            self.follow(part.steps, states)
        for target, part in zip(left, right, strict=False):
            self._set(target, "computedFrom", part.start, part.end, states)

    def _set(
        self, target: _Part | None, relation: str, start: int, end: int, states: _States
    ) -> None:
        """Give the variables of `target` their values from those from `start` up to `end`."""
        texts, places = self._texts, self._places
        sources = tuple(texts[start:end])
        for step in _variables(target):
            self._found.append((places[step], relation, sources))
            self._sources.update(places[start:end])
            states[texts[step]] = (places[step],)

    def _branch(self, statement: _Statement, states: _States) -> None:
        before = dict(states)
        ends = []
        has_else = False
        for part in statement.parts:
            has_else = has_else or "else" in part.kind
            if part.kind in ("elif_clause", "else_clause"):
                end = dict(before)
                self.follow(part.steps, end)
                ends.append(end)
            else:
                self.follow(part.steps, states)
        if not has_else:
            ends.append(before)
        for end in ends:
            for name, places in end.items():
                now = states.get(name, places)
                states[name] = now if now == places else tuple({*now, *places})

    def _for(self, statement: _Statement, states: _States) -> None:
        left, right = statement.fields
        if right is None:
            raise LookupError("a part is missing")
        sides = _sides(left, right)
        body = statement.parts[-1]
        since = len(self._found)
        for _ in range(2):
            self._compute(*sides, states)
            if body.kind == "block":
                self.follow(body.steps, states)
        self._merge(since)

    def _while(self, statement: _Statement, states: _States) -> None:
        since = len(self._found)
        for _ in range(2):
            for part in statement.parts:
                self.follow(part.steps, states)
        self._merge(since)

    def _merge(self, since: int) -> None:
        """Leave one edge of each variable and relation among those found `since`."""
        merged: dict[tuple[int, str], _Found] = {}
        for edge in self._found[since:]:
            key = edge[:2]
            merged[key] = _merged(merged[key], edge) if key in merged else edge
        self._found[since:] = merged.values()


_FOLLOW = {
    "assignment": _Flow._assign,
    "augmented_assignment": _Flow._assign,
    "for_in_clause": _Flow._comprehend,
    "for_statement": _Flow._for,
    "default_parameter": _Flow._parameter,
    "if_statement": _Flow._branch,
    "while_statement": _Flow._while,
}


def _variables(part: _Part | None) -> range:
    if part is None:
        raise LookupError("a part is missing")
    return range(part.start, part.end)


def _sides(left: _Part | None, right: _Part) -> tuple[Sequence[_Part], Sequence[_Part]]:
    """Return what is assigned to what: part by part if there are as many."""
    if left is None:
        raise LookupError("a part is missing")
    if not left.parts:
        return [left], [right]
    targets = [part for part in left.parts if part.kind != ","]
    values = [part for part in right.parts if part.kind != ","]
    if len(targets) != len(values):
        return [left], [right]
    if "string" in (left.kind, right.kind) and values:
        raise LookupError("the parts of a string are no tokens")
    return targets or [left], values or [right]


def _merged(before: _Found, edge: _Found) -> _Found:
    """Return `edge` with the sources `list(set(before's + its))` of PYTHONHASHSEED=0."""
    variable, relation, sources = edge
    if sources == before[2] and len(sources) < 2:
        return edge
    return variable, relation, tuple(set_order(before[2] + sources))
