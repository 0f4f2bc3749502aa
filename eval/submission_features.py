"""What happened between two consecutive submissions, in numbers.

The features of one transition from a submission to the next, in five families: edit size, AST,
grade, outcome and style. Both programs are compared as `novicegym.eval.style.normalized` gives
them: the white space around a program and its line ends are what a code fence, a prompt or a
file made of it, not what the student did. White space within the program counts.

Covered: Python; a text that does not parse has no AST features. Not covered: time between
submissions, what the grader said, and anything further back than one submission.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TypeAlias

from novicegym.courses.similarity import CodeIndex
from novicegym.courses.syntax import same_ast
from novicegym.eval.moves import GradedCode
from novicegym.eval.style import Style, normalized, style_of
from novicegym.grading.verdict import OUTCOMES

FAMILIES: dict[str, tuple[str, ...]] = {
    "edit size": (
        "unchanged",
        "tokens_inserted",
        "tokens_deleted",
        "token_similarity",
        "lines_inserted",
        "lines_deleted",
        "places_edited",
    ),
    "AST": (
        "ast_same",
        "ast_distance",
        "ast_depth_delta",
        "ast_width_delta",
        "ast_nodes_delta",
    ),
    "grade": ("grade_before", "grade_after", "grade_delta"),
    "outcome": (
        *(f"{outcome}_before" for outcome in OUTCOMES),
        *(f"{outcome}_after" for outcome in OUTCOMES),
        "same_outcome",
    ),
    "style": (
        "loc",
        "blank_lines",
        "comment_lines",
        "characters",
        "ast_depth",
        "ast_width",
        "ast_nodes",
        "ast_branching",
        "pep8",
        "loc_delta",
        "blank_lines_delta",
        "comment_lines_delta",
        "characters_delta",
        "pep8_delta",
    ),
}
"""The features by family. `before` and `after` are the two submissions, `delta` is after minus
before; style without a suffix is that of the second. The deltas of a tree's shape are edits of
the tree, hence under AST. `unchanged`, `ast_same`, `same_outcome` and the outcomes are 0 or 1,
similarity and distance in [0, 1]."""

FEATURES: tuple[str, ...] = tuple(name for names in FAMILIES.values() for name in names)

_TOKEN = re.compile(r"\w+|[^\w\s]")


def transition_features(before: GradedCode, after: GradedCode) -> dict[str, float | None]:
    """Return the value of each of FEATURES, in that order.

    None where the feature needs a tree and a program does not parse. Raises UsageError when
    pycodestyle is not installed.
    """
    old, new = normalized(before.code), normalized(after.code)
    styles = style_of(old), style_of(new)
    values: dict[str, float | None] = {
        **_edit(old, new),
        **_tree(old, new, *styles),
        "grade_before": before.grade,
        "grade_after": after.grade,
        "grade_delta": after.grade - before.grade,
        **{f"{outcome}_before": float(outcome == before.outcome) for outcome in OUTCOMES},
        **{f"{outcome}_after": float(outcome == after.outcome) for outcome in OUTCOMES},
        "same_outcome": float(before.outcome == after.outcome),
        **_style(*styles),
    }
    return {name: values[name] for name in FEATURES}


def _edit(old: str, new: str) -> dict[str, float | None]:
    tokens = _TOKEN.findall(old), _TOKEN.findall(new)
    lines = old.split("\n"), new.split("\n")
    by_token, by_line = _edits(*tokens), _edits(*lines)
    deleted, inserted = _sizes(by_token)
    lines_deleted, lines_inserted = _sizes(by_line)
    total = len(tokens[0]) + len(tokens[1])
    return {
        "unchanged": float(old == new),
        "tokens_inserted": float(inserted),
        "tokens_deleted": float(deleted),
        "token_similarity": 1 - (deleted + inserted) / total if total else 1.0,
        "lines_inserted": float(lines_inserted),
        "lines_deleted": float(lines_deleted),
        "places_edited": float(len(by_line)),
    }


_Edit: TypeAlias = tuple[int, int]
"""How many were deleted and how many inserted in one place."""


def _edits(old: Sequence[str], new: Sequence[str]) -> list[_Edit]:
    """Return the places where `new` differs, in order."""
    # What both begin and end with is matched first: edits are local and aligning is quadratic.
    shortest = min(len(old), len(new))
    head = next((i for i in range(shortest) if old[i] != new[i]), shortest)
    rest = shortest - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return [(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"]


def _sizes(edits: Sequence[_Edit]) -> tuple[int, int]:
    return sum(deleted for deleted, _ in edits), sum(inserted for _, inserted in edits)


def _tree(old: str, new: str, before: Style, after: Style) -> dict[str, float | None]:
    same = distance = None
    if before.ast_nodes is not None and after.ast_nodes is not None:
        same = float(same_ast(old, new))
        distance = 0.0 if same else float(CodeIndex([old]).distances(new)[0])
    return {
        "ast_same": same,
        "ast_distance": distance,
        "ast_depth_delta": _delta(before.ast_depth, after.ast_depth),
        "ast_width_delta": _delta(before.ast_width, after.ast_width),
        "ast_nodes_delta": _delta(before.ast_nodes, after.ast_nodes),
    }


def _style(before: Style, after: Style) -> dict[str, float | None]:
    return {
        "loc": float(after.loc),
        "blank_lines": float(after.blank_lines),
        "comment_lines": float(after.comment_lines),
        "characters": float(after.characters),
        "ast_depth": after.ast_depth,
        "ast_width": after.ast_width,
        "ast_nodes": after.ast_nodes,
        "ast_branching": after.ast_branching,
        "pep8": after.pep8,
        "loc_delta": float(after.loc - before.loc),
        "blank_lines_delta": float(after.blank_lines - before.blank_lines),
        "comment_lines_delta": float(after.comment_lines - before.comment_lines),
        "characters_delta": float(after.characters - before.characters),
        "pep8_delta": _delta(before.pep8, after.pep8),
    }


def _delta(before: int | None, after: int | None) -> float | None:
    return None if before is None or after is None else float(after - before)
