"""The program in what a model said.

A submission is one program. The rules, in order:

1. Text that is exactly one block as `serialize` writes it gives that block, to the character.
2. Thinking is dropped: `<think>...</think>`, everything before a first `</think>` whose opening
   tag was in the prompt, everything after a `<think>` that never ends. A tag within a line of
   code is code.
3. Of several blocks the **first** counts that is labelled Python or diff; then the first without
   a label; then any. Complete ones come before one cut off. The first, because a model that
   does not stop goes on to invent the grader's reply and its own next submissions, and because
   the published evaluation takes the first.
4. A diff is applied to the previous submission. One that does not apply is submitted as it
   stands, and so does not compile.
5. Without any block the whole text is the program.

A caller that put the opening fence into the prompt joins it to the completion first. Nothing
here raises, whatever the text; time is linear in its length (for a diff see `diffs`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from novicegym.dialogs.diffs import apply_diff
from novicegym.dialogs.fences import DIFF_LABELS, PYTHON_LABELS, Block, blocks, sole_block

_GIVE_UP = frozenset({"exit()", "exit", "quit()", "quit"})
_THINK_TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_NEAR = 80
"""How far around a tag to look for the end of its line: keeps hostile text linear."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The program a completion submits."""

    code: str
    kind: Literal["fence", "diff", "raw", "empty"]
    """fence: a block's text. diff: the previous program with a diff applied. raw: the text as it
    stands, for want of a block or because its diff did not apply. empty: nothing but white
    space, whatever it was written in."""


def extract_code(completion: str, previous: str | None = None) -> Extraction:
    """Return the program in `completion`; `previous` is the submission a diff starts from.

    `extract_code(assistant_message(code, previous, fmt)["content"], previous).code == code`.
    """
    text = completion
    block = sole_block(text.strip())
    if block is None:
        text = _after_thinking(text)
        block = sole_block(text.strip())
    if block is None:
        text = _without_thinking(text)
        found = blocks(text)
        block = _chosen(found)
        if block is None:
            return _unfenced(text.strip(), found, previous)
    if block.label in DIFF_LABELS or (not block.label and _looks_like_diff(block.body)):
        return _edited(block.body, previous)
    return _extraction(block.body, "fence")


def without_thinking(text: str) -> str:
    """Return what a model said without what it thought, by rule 2; of a text, not a program."""
    return _without_thinking(_after_thinking(text))


def is_give_up(code: str) -> bool:
    """Return whether the program is nothing but exit() or quit(), comments aside."""
    lines = [line.partition("#")[0].strip() for line in code.split("\n")]
    statements = [line for line in lines if line]
    return len(statements) == 1 and statements[0] in _GIVE_UP


def _extraction(code: str, kind: Literal["fence", "diff", "raw"]) -> Extraction:
    return Extraction(code, kind if code.strip() else "empty")


def _chosen(found: list[Block]) -> Block | None:
    def rank(block: Block) -> int:
        if block.label in PYTHON_LABELS | DIFF_LABELS:
            return 0 if block.closed else 1
        if not block.label:
            return 2 if block.closed else 3
        return 4

    return min((block for block in found if block.body.strip()), key=rank, default=None)


def _unfenced(text: str, found: list[Block], previous: str | None) -> Extraction:
    """Read a text whose blocks, if there are any, are blank."""
    if any(block.label or block.closed for block in found):
        return Extraction("", "empty")
    if text.endswith(("```", "~~~")):  # a closing fence whose opening one is missing
        text = text.rstrip(text[-1]).rstrip()
    return _edited(text, previous) if _looks_like_diff(text) else _extraction(text, "raw")


def _looks_like_diff(text: str) -> bool:
    start = text.lstrip()
    return start.startswith("@@ ") or (start.startswith("--- ") and "\n+++ " in start)


def _edited(diff: str, previous: str | None) -> Extraction:
    if not diff.strip():
        return Extraction("", "empty")
    code = apply_diff(previous or "", diff)
    return _extraction(diff, "raw") if code is None else _extraction(code, "diff")


def _after_thinking(text: str) -> str:
    """Return what follows the thinking at the start of `text`."""
    inside, end = False, 0
    for tag in _THINK_TAG.finditer(text):
        if inside and tag[1]:
            inside, end = False, tag.end()
        elif not inside:
            if tag[1] or text[end : tag.start()].strip():
                break
            inside = True
    return "" if inside else text[end:]


def _without_thinking(text: str) -> str:
    kept: list[str] = []
    inside, met_lone_end, end = False, False, 0
    for tag in _THINK_TAG.finditer(text):
        if inside:
            if tag[1]:
                inside, end = False, tag.end()
        elif not _stands_apart(text, tag):
            continue
        elif not tag[1]:
            kept.append(text[end : tag.start()])
            inside = True
        elif not met_lone_end:  # the prompt ended in the opening tag
            kept.clear()
            met_lone_end, end = True, tag.end()
    return "".join(kept) if inside else "".join([*kept, text[end:]])


def _stands_apart(text: str, tag: re.Match[str]) -> bool:
    """Whether the tag begins or ends its line or precedes a fence: not within code."""
    before = text[max(0, tag.start() - _NEAR) : tag.start()].rstrip(" \t")
    after = text[tag.end() : tag.end() + _NEAR].lstrip(" \t\r")
    return before[-1:] in ("", "\n") or not after or after.startswith(("\n", "```", "~~~"))
