"""How a student writes: names, spacing, quotes, indentation, comments.

Covered: `restyle`, which writes a program in a student's hand without changing what it does,
and `adopt_names`, which writes a known program in the names of the code before us.
Not covered: idioms (`i += 1` or `i = i + 1`), which differ between the known solutions.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from novicegym.agents.novice_source import (
    RESERVED,
    Edit,
    Source,
    indent_of,
    is_fstring,
    lex,
    splice,
)

_COMMENTS = {
    "for": ("go through them", "loop", "for each one"),
    "while": ("keep going", "loop until done", "repeat"),
    "if": ("check", "check this case", "test it"),
    "return": ("give back the answer", "done", "result"),
    "print": ("output", "print the result", "show it"),
    "def": ("my function", "function", "helper"),
}
_SPACED = ("=", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "//", "/", "%", "+=", "-=", "*=")


@dataclass(frozen=True, slots=True)
class Style:
    """One student's hand."""

    renames: float
    """Share of the variables given a name of the student's own."""
    tight: tuple[str, ...]
    """Operators written without blanks around them."""
    comma: str
    quote: str
    indent: str
    brackets: bool
    """Whether conditions stand in brackets."""
    comments: float
    """Share of the statements that get a comment."""
    header: bool
    """Whether programs begin with a comment that says what they are."""


def draw_style(rng: np.random.Generator) -> Style:
    """Draw a student's hand."""
    tight = tuple(sign for sign in _SPACED if rng.random() < 0.15)
    return Style(
        renames=float(rng.beta(1.2, 1.8)),
        tight=_SPACED if rng.random() < 0.12 else tight,
        comma="," if rng.random() < 0.15 else ", ",
        quote="'" if rng.random() < 0.35 else '"',
        indent=str(rng.choice(["    ", "  ", "   ", "\t"], p=[0.86, 0.08, 0.02, 0.04])),
        brackets=bool(rng.random() < 0.15),
        comments=float(rng.beta(0.5, 3)) * 0.5,
        header=bool(rng.random() < 0.2),
    )


def restyle(
    program: str, title: str, fixed_names: frozenset[str], style: Style, rng: np.random.Generator
) -> str:
    """Return the same program in a student's hand; `fixed_names` stay as they are."""
    text = program.strip("\n") + "\n"
    text = _with_own_names(text, fixed_names, style, rng)
    text = _with_brackets(text) if style.brackets else text
    text = _commented(_indented(_spaced(text, style), style.indent), title, style, rng)
    # Whatever a rewrite did beyond names and looks is not a matter of style.
    return text if _shape(text) == _shape(program) else program.strip("\n") + "\n"


def _shape(program: str) -> list[type[ast.AST]]:
    return [type(node) for node in Source(program).nodes(ast.AST)]


def nicknames(name: str) -> list[str]:
    """Return names a student may use in place of a solution's."""
    parts = [part for part in name.split("_") if part]
    found = [f"my_{name}", f"{name}1", f"the_{name}"]
    if len(parts) > 1:
        joined = parts[0] + "".join(part.capitalize() for part in parts[1:])
        found += [joined, joined, "".join(part[0] for part in parts), parts[-1], parts[0]]
    if len(name) > 4:
        short = name[0] + re.sub("[aeiou_]", "", name[1:])
        found += [name[:3], name[:4], short[:4], name[0]]
    if len(name) <= 2:
        found += ["i", "j", "k", "n", "x", "num", "item", "count"]
    return [nickname for nickname in dict.fromkeys(found) if nickname.isidentifier()]


def _with_own_names(
    program: str, fixed_names: frozenset[str], style: Style, rng: np.random.Generator
) -> str:
    source = Source(program)
    used = {token.text for token in source.tokens if token.kind == "name"}
    by_keyword = {keyword.arg for keyword in source.nodes(ast.keyword)}
    mapping: dict[str, str] = {}
    for name in source.variables:
        choices = [n for n in nicknames(name) if n not in used and n not in RESERVED]
        wanted = rng.random() < style.renames
        if wanted and choices and name not in fixed_names and name not in by_keyword:
            mapping[name] = choices[int(rng.integers(len(choices)))]
            used.add(mapping[name])
    return source.rename(mapping)


def _with_brackets(program: str) -> str:
    source = Source(program)
    edits = []
    for node in source.nodes(ast.If, ast.While):
        start, end = source.start(node.test), source.end(node.test)
        if source.text[start - 1 : start] == " " and source.text[end : end + 1] == ":":
            edits += [Edit(start, start, "("), Edit(end, end, ")")]
    return splice(program, edits)


def _spaced(program: str, style: Style) -> str:
    tokens = lex(program)
    parts: list[str] = []
    for index, token in enumerate(tokens):
        text = token.text
        before = tokens[index - 1].text if index else ""
        after = tokens[index + 1].text if index + 1 < len(tokens) else ""
        if token.kind == "space" and index and "\n" not in before:
            if before in style.tight or (after in style.tight and before != "return"):
                text = ""
            elif before == ",":
                text = style.comma[1:]
        elif token.kind == "string" and text[0] in "'\"" and not is_fstring(text):
            body = text[1:-1]
            if not re.search(r"['\"\\\n]", body):
                text = style.quote + body + style.quote
        parts.append(text)
    return "".join(parts)


def _indented(program: str, indent: str) -> str:
    lines = []
    for line in program.split("\n"):
        depth, rest = divmod(len(indent_of(line).replace("\t", "    ")), 4)
        lines.append(indent * depth + " " * rest + line.lstrip(" \t"))
    return "\n".join(lines)


def _commented(program: str, title: str, style: Style, rng: np.random.Generator) -> str:
    lines = [f"# {title}"] if style.header else []
    for line in program.split("\n"):
        word = re.match(r"\s*(\w+)", line)
        remark = comment_for(word.group(1), rng) if word else None
        if remark and rng.random() < style.comments:
            lines.append(f"{indent_of(line)}# {remark}")
        lines.append(line)
    return "\n".join(lines)


def comment_for(word: str, rng: np.random.Generator) -> str | None:
    """Return a remark on a statement by its first word; None for words nobody remarks on."""
    remarks = _COMMENTS.get(word)
    return remarks[int(rng.integers(len(remarks)))] if remarks else None


def adopt_names(program: str, code: str, fixed_names: frozenset[str]) -> str:
    """Return `program` with its variables named as the aligned variables of `code` are."""
    source = Source(program)
    ours = set(source.variables) - fixed_names
    own, other = (
        [token for token in lex(text) if token.kind not in ("space", "newline", "comment")]
        for text in (program, code)
    )

    def shape(kind: str, text: str) -> str:
        return "<name>" if kind == "name" and text not in RESERVED | fixed_names else text

    matcher = SequenceMatcher(
        None,
        [shape(token.kind, token.text) for token in own],
        [shape(token.kind, token.text) for token in other],
        autojunk=False,
    )
    votes: Counter[tuple[str, str]] = Counter()
    for block in matcher.get_matching_blocks():
        for index in range(block.size):
            mine, theirs = own[block.a + index].text, other[block.b + index].text
            if mine in ours and theirs not in RESERVED | fixed_names:
                votes[mine, theirs] += 1
    mapping: dict[str, str] = {}
    # Ties are broken by the names, so that equal votes give the same program everywhere.
    for (mine, theirs), _ in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        if mine not in mapping and theirs not in mapping.values():
            mapping[mine] = theirs
    kept = {token.text for token in own if token.kind == "name"} - set(mapping)
    while clashes := [mine for mine, theirs in mapping.items() if theirs in kept]:
        for mine in clashes:
            del mapping[mine]
        kept.update(clashes)
    return source.rename(mapping)
