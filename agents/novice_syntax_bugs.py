"""Syntax slips, made on the text: the program need not parse before.

Python's versions of errors mostly counted in Java; the citations are to the error, not to
the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from novicegym.agents.novice_catalogue import bug, one
from novicegym.agents.novice_source import Edits, Source, Token, indent_of

_HEADER = ("if", "elif", "else", "while", "for", "def")


def _names(source: Source, *texts: str) -> Iterator[tuple[int, Token]]:
    for index, token in enumerate(source.tokens):
        if token.kind == "name" and token.text in texts:
            yield index, token


def _ops(source: Source, *texts: str) -> Iterator[tuple[int, Token]]:
    for index, token in enumerate(source.tokens):
        if token.kind == "op" and token.text in texts:
            yield index, token


def _line_token(source: Source, index: int, *texts: str) -> bool:
    """Whether one of `texts` begins the line the token is in."""
    while index > 0 and source.tokens[index - 1].kind != "newline":
        index -= 1
    while source.tokens[index].kind == "space":
        index += 1
    return source.tokens[index].text in texts


def _header_colon(source: Source, index: int) -> Token | None:
    """Return the colon that ends the header starting at a token; None where there is none."""
    depth = 0
    for token in source.tokens[index:]:
        if token.kind == "newline" and depth == 0:
            return None
        if token.kind == "op":
            depth += (token.text in "([{") - (token.text in ")]}")
            if token.text == ":" and depth == 0:
                return token
    return None


@bug(
    "syntax",
    "notation",
    6,
    "smith2019 kohn2019 altadmri2015",
    "leaves out the colon that opens a block",
)
def missing_colon(source: Source) -> Iterator[Edits]:
    for index, _ in _names(source, *_HEADER):
        colon = _header_colon(source, index)
        if colon is not None:
            yield one(colon.start, colon.end, "")


@bug(
    "syntax",
    "notation",
    5,
    "altadmri2015 jadud2006 kohn2019",
    "leaves out a closing bracket",
)
def missing_bracket(source: Source) -> Iterator[Edits]:
    for _, token in _ops(source, ")", "]"):
        yield one(token.start, token.end, "")


@bug("syntax", "notation", 2, "altadmri2015 jadud2006", "writes a closing bracket too many")
def extra_bracket(source: Source) -> Iterator[Edits]:
    for _, token in _ops(source, ")"):
        yield one(token.end, token.end, ")")


@bug(
    "syntax",
    "conditions",
    4,
    "hristova2003 altadmri2015 mccall2014",
    "tests equality with one equals sign",
)
def assign_in_condition(source: Source) -> Iterator[Edits]:
    for index, token in _ops(source, "=="):
        if _line_token(source, index, "if", "elif", "while", "return"):
            yield one(token.start, token.end, "=")


@bug("syntax", "conditions", 1.5, "hristova2003", "turns a comparison sign round: =<, =>, =!")
def reversed_sign(source: Source) -> Iterator[Edits]:
    for _, token in _ops(source, "<=", ">=", "!="):
        yield one(token.start, token.end, token.text[::-1])


@bug(
    "syntax",
    "conditions",
    1,
    "hristova2003 smith2019",
    "writes 'else if', or a condition after else",
)
def else_with_condition(source: Source) -> Iterator[Edits]:
    for _, token in _names(source, "elif"):
        yield one(token.start, token.end, "else if")
        yield one(token.start, token.end, "else")


@bug("syntax", "conditions", 1, "mccall2014 brown2017", "writes && or || for and, or")
def foreign_operator(source: Source) -> Iterator[Edits]:
    for _, token in _names(source, "and", "or"):
        yield one(token.start, token.end, "&&" if token.text == "and" else "||")


@bug(
    "syntax",
    "notation",
    5,
    "smith2019 kohn2019",
    "indents a line differently from the block it belongs to",
)
def wrong_indent(source: Source) -> Iterator[Edits]:
    for number, line in enumerate(source.lines):
        start, indent = source.line_starts[number], indent_of(line)
        if line.strip() and number:
            yield one(start, start, " ")
        if len(indent) > 1 and line.strip():
            yield one(start, start + 1, "")


@bug("syntax", "notation", 2, "smith2019 kohn2019", "does not indent the line after a header")
def missing_indent(source: Source) -> Iterator[Edits]:
    for number, line in enumerate(source.lines[:-1]):
        indent = indent_of(source.lines[number + 1])
        if re.match(r"\s*(if|elif|else|while|for|def)\b.*:\s*$", line) and len(indent) > 0:
            start = source.line_starts[number + 1]
            yield one(start, start + len(indent), indent_of(line))


@bug("syntax", "text", 3, "altadmri2015 mccall2014 kohn2019", "leaves out a quotation mark")
def missing_quote(source: Source) -> Iterator[Edits]:
    for token in source.tokens:
        if token.kind == "string" and "\n" not in token.text:
            yield one(token.end - 1, token.end, "")
            if token.text[0] in "'\"":
                yield one(token.start, token.start + 1, "")


@bug("syntax", "notation", 2, "jadud2006 smith2019", "leaves out a comma between arguments")
def missing_comma(source: Source) -> Iterator[Edits]:
    for _, token in _ops(source, ","):
        yield one(token.start, token.end, "")


@bug("syntax", "notation", 2, "kohn2019 mccall2014", "misspells or capitalises a keyword")
def keyword_typo(source: Source) -> Iterator[Edits]:
    typos = {"return": "retrun", "while": "whlie", "elif": "elseif", "for": "For", "if": "If"}
    for _, token in _names(source, *typos):
        yield one(token.start, token.end, typos[token.text])


@bug("syntax", "loops", 1, "smith2019 kohn2019", "leaves out the word in of a for loop")
def missing_in(source: Source) -> Iterator[Edits]:
    for index, token in _names(source, "in"):
        if _line_token(source, index, "for"):
            yield one(token.start, token.end + 1, "")


@bug("syntax", "values", 1, "hristova2003 mccall2014", "adds one with i++")
def foreign_increment(source: Source) -> Iterator[Edits]:
    for number, line in enumerate(source.lines):
        match = re.match(r"(\s*)(\w+)\s*(?:\+=\s*1|=\s*(\w+)\s*\+\s*1)\s*$", line)
        if match and match.group(3) in (None, match.group(2)):
            start = source.line_starts[number] + match.end(1)
            yield one(start, source.line_starts[number] + len(line), f"{match.group(2)}++")


@bug("syntax", "values", 1, "sirkia2012 smith2019", "assigns from left to right: 0 = total")
def assignment_reversed(source: Source) -> Iterator[Edits]:
    for number, line in enumerate(source.lines):
        match = re.match(r"(\s*)(\w+)(\s*=\s*)(\d+|\"[^\"]*\"|'[^']*')\s*$", line)
        if match:
            _, name, sign, value = match.groups()
            start = source.line_starts[number] + match.end(1)
            yield one(start, source.line_starts[number] + len(line), f"{value}{sign}{name}")
