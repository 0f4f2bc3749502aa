"""Fenced blocks: writing one that can be read back exactly, and finding those a model wrote.

Covered: backtick and tilde fences, any label, any indentation, a fence opened in the middle of
a line or closed behind the code, one-line blocks, unclosed blocks. Every function is linear in
the text and accepts any text. Not covered: block quotes, HTML.
"""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass

PYTHON_LABELS = frozenset({"python", "py", "ipython"})
DIFF_LABELS = frozenset({"diff", "patch", "udiff"})

# Possessive repeats: a run of a million backticks is looked at once, not once per length.
_SOLE_OPENING = re.compile(r"(`{3,}+)(python|diff)\n")
_OPENING = re.compile(r"([ \t]*+)(?:(`{3,}+)([^`]*+)|(~{3,}+)(.*+))$", re.DOTALL)
_OPENING_IN_LINE = re.compile(
    r"(?<!`)(`{3,}+)[ \t]*+((?:python|py|diff|patch)[\d.]*+)[ \t]*+$", re.IGNORECASE
)
_CLOSING = re.compile(r"([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+$")
_ONE_LINE = re.compile(r"[ \t]*+(`{3,}+)([^`]++)(`{3,}+)[ \t]*+$")
_LABEL = re.compile(r"[{.\s]*+([A-Za-z]+)[\w+#.:-]*+")
_LABEL_AND_CODE = re.compile(r"\s*+(?:python|py)[\d.]*+(?:\s++|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Block:
    """The inside of one fenced block."""

    label: str
    """The letters of the language named at the fence, lower case: "python" for Python3; or ""."""
    body: str
    closed: bool


@dataclass(frozen=True, slots=True)
class _Fence:
    mark: str
    column: int
    label: str
    first: list[str]
    """What stands behind the fence on its line and is no label, so already belongs inside."""

    def closes(self, line: str) -> bool:
        """Whether `line` closes this fence.

        A fence indented four columns deeper is part of the program: a docstring's example.
        """
        match = _CLOSING.match(line)
        return (
            match is not None
            and match[2].startswith(self.mark)
            and len(match[1].expandtabs(4)) < self.column + 4
        )

    def starts_anew(self, line: str) -> _Fence | None:
        """Return the labelled fence that `line` opens although this one was not closed."""
        match = _OPENING.match(line)
        other = _opened(match) if match is not None else None
        if (
            other is not None
            and other.label in PYTHON_LABELS | DIFF_LABELS
            and other.mark.startswith(self.mark)
            and other.column < self.column + 4
        ):
            return other
        return None


def fence(label: str, body: str) -> str:
    """Return `body` in a fence longer than any run of backticks in it; `sole_block` inverts it."""
    longest = max(map(len, re.findall("`+", body)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{label}\n{body}\n{mark}"


def sole_block(text: str) -> Block | None:
    """Return the block that `fence` wrote, body exact to the character; None for other text."""
    opening = _SOLE_OPENING.match(text)
    if opening is None:
        return None
    mark = opening[1]
    body, end = text[opening.end() : -len(mark) - 1], text[-len(mark) - 1 :]
    is_whole = len(text) > opening.end() + len(mark) and end == "\n" + mark and mark not in body
    return Block(opening[2], body, closed=True) if is_whole else None


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of `text` in order, the blank ones included."""
    found: list[Block] = []
    current: _Fence | None = None
    inside: list[str] = []
    # Only "\n" ends a line: str.splitlines would also split at characters within a program.
    for line in text.split("\n"):
        bare = line.removesuffix("\r")
        if current is None:
            one_line = _ONE_LINE.match(bare)
            if one_line is not None and one_line[1] == one_line[3]:
                found.append(_one_line_block(one_line[2]))
                continue
            current = _open(bare)
            inside = [] if current is None else list(current.first)
        elif current.closes(bare):
            found.append(_block(current, inside, closed=True))
            current = None
        elif (following := current.starts_anew(bare)) is not None:
            found.append(_block(current, inside, closed=False))
            current, inside = following, list(following.first)
        else:
            inside.append(line)
    if current is not None:
        found.append(_block(current, inside, closed=False))
    return found


def _open(line: str) -> _Fence | None:
    match = _OPENING.match(line)
    if match is not None:
        return _opened(match)
    match = _OPENING_IN_LINE.search(line)
    return _Fence(match[1], match.start(1), _label(match[2]), []) if match is not None else None


def _opened(match: re.Match[str]) -> _Fence:
    mark, info = (match[2], match[3]) if match[2] else (match[4], match[5])
    label = _label(info)
    # ```x = 1: the program begins right behind the fence.
    is_code = label not in PYTHON_LABELS | DIFF_LABELS and not _is_label(info)
    column = len(match[1].expandtabs(4))
    return _Fence(mark, column, "" if is_code else label, [info] if is_code else [])


def _label(info: str) -> str:
    match = _LABEL.match(info)
    return match[1].lower() if match is not None else ""


def _is_label(info: str) -> bool:
    return not info.strip() or re.fullmatch(r"[{.]*+[\w+#.-]++}*+", info.strip()) is not None


def _one_line_block(inside: str) -> Block:
    label = _LABEL_AND_CODE.match(inside)
    if label is None:
        return Block("", inside.strip(), closed=True)
    return Block("python", inside[label.end() :].strip(), closed=True)


def _block(opening: _Fence, inside: list[str], *, closed: bool) -> Block:
    if not closed:
        # The closing fence may hide at the end of a line of code, or be indented like one.
        for number, line in enumerate(inside):
            code = line.rstrip()
            if code.endswith(opening.mark):
                code = code.rstrip(opening.mark[0]).rstrip()
                inside = [*inside[:number], code] if code else inside[:number]
                closed = True
                break
    if inside and inside[-1].endswith("\r") and closed:
        inside = [*inside[:-1], inside[-1].removesuffix("\r")]
    body = "\n".join(_dedented(inside, opening.column))
    return Block(opening.label, body, closed)


def _dedented(lines: list[str], width: int) -> list[str]:
    """Take off the indentation that all lines share, at most that of the fence."""
    texts = [line for line in lines if line.strip()]
    shared = os.path.commonprefix([line[:width] for line in texts])  # noqa: RUF071 by character
    depth = len(shared) - len(shared.lstrip(" \t"))
    # A blank line may be shorter than the indentation; it has nothing but white space to lose.
    return [line[depth:] for line in lines] if depth else lines
