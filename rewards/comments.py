"""Taking comments out of Python programs as the package `codebleu` does, in one pass.

The package runs `tokenize` in Python over the text and writes it anew: comments and docstrings
go, blank lines go, a line that does not open a block is indented by spaces whatever it was
indented by, and a text that `tokenize` refuses stays as it is. Here one regular expression finds
the few things that matter for that.

Covered: every text whose outcome can be told from its strings of one line, comments, brackets and
indentation. Not covered, and left to the package: docstrings and other strings over several lines
or at the start of one, continued lines, tabs within a line, carriage returns.
"""

from __future__ import annotations

import re

_PIECE = re.compile(
    r"""
    \n[ \t]*                                            # the end of a line, the next indent
    | \#[^\n]*                                          # a comment
    | "(?:[^"\\\n]|\\.)*"(?!") | '(?:[^'\\\n]|\\.)*'(?!')  # a string of one line
    | [()\[\]{}]
    | ["'\\\t$?`] | !(?!=)                              # what makes the outcome unsure
    """,
    re.VERBOSE,
)
_UNSURE = re.compile(r"[\r\f\0]")
_DEPTH = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def remove_comments(code: str) -> str | None:
    """Return stripped `code` as the package rewrites it; None where it has to be asked."""
    if _UNSURE.search(code):
        return None
    lines: list[str] = []
    indents = [0]
    depth = start = copied = 0
    line = ""  # of the current line, what is settled; the rest is code[copied:]
    for match in _PIECE.finditer(code):
        piece, at = match[0], match.start()
        first = piece[0]
        if first == "\n":
            lines.append(line + code[copied:at])
            start = copied = match.end()
            indent = piece[1:]
            line = " " * len(indent)
            if depth or code.startswith(("\n", "#"), start):
                continue
            column = len(indent.expandtabs())
            if column > indents[-1]:
                indents.append(column)
                line = indent
            while column < indents[-1]:
                indents.pop()
                if column > indents[-1]:
                    return code  # out of line with every open block: `tokenize` refuses
        elif first == "#":
            line += code[copied:at]
            copied = match.end()
        elif first in _DEPTH:
            depth += _DEPTH[first]
            if depth < 0:
                return None
        elif len(piece) == 1 or at == start or code[start:at].isalnum():
            return None
    if depth:
        return code  # an open bracket: `tokenize` refuses
    lines.append(line + code[copied:])
    return "\n".join(line for line in lines if line.strip())
