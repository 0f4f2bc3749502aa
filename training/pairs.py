"""Preference pairs mined from the logs, for DPO (paper, section 4.2).

After t submissions the student's own next one is chosen over a later one of hers. By strategy:

    grade   the first later one with another grade: k* = min{k >= 2: v(a_{t+k}) != v(a_{t+1})}
    next    the one two after the chosen one: k = 3
    random  one drawn from those at least three after the chosen one: k >= 4

Submissions are numbered from 1, as in the paper: t of them are in the prompt, a_{t+1} is chosen,
a_{t+k} rejected. `grade` compares exact fractions and takes all positions. Unlike in the published
code nothing is shuffled and no rejected submission is used up, so a pair depends on its trajectory
alone (and on the seed, for `random`).

`encode_pairs` gives both sides one prompt window, which leaves room for the longer side; so
nothing is ever cut, and the sides differ in the last turn alone. Not covered: the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from typing import Any, TypedDict, get_args

import numpy as np

from novicegym.courses.syntax import same_ast
from novicegym.dialogs.serialize import Dialog, DialogFormat, assistant_message
from novicegym.dialogs.tokens import DialogTokenizer
from novicegym.dialogs.windows import fit_prompt, fit_window, preamble_length
from novicegym.errors import UsageError, unknown_name
from novicegym.training.logged import LoggedDialog
from novicegym.training.recipes import Strategy

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
_SMALLEST_K: dict[Strategy, int] = {"grade": 2, "next": 3, "random": 4}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two continuations of one logged prefix, the chosen and the rejected."""

    logged: LoggedDialog
    t: int
    """Submissions in the prompt; the chosen one is the next."""
    k: int
    """How many submissions after the prompt's last one the rejected one is."""

    @property
    def student_id(self) -> str:
        """Who submitted both."""
        return self.logged.student_id

    @property
    def assignment_id(self) -> str:
        """What for."""
        return self.logged.assignment_id

    @property
    def chosen_code(self) -> str:
        """a_{t+1}."""
        return self.logged.codes[self.t]

    @property
    def rejected_code(self) -> str:
        """a_{t+k}."""
        return self.logged.codes[self.t + self.k - 1]

    @property
    def chosen_grade(self) -> Fraction:
        """v(a_{t+1})."""
        return self.logged.verdicts[self.t].grade

    @property
    def rejected_grade(self) -> Fraction:
        """v(a_{t+k})."""
        return self.logged.verdicts[self.t + self.k - 1].grade

    @property
    def dialog(self) -> Dialog:
        """The prompt u_<=t, a new object."""
        end = preamble_length(self.logged.dialog) + 2 * self.t
        return [message.copy() for message in self.logged.dialog[:end]]


class EncodedPair(TypedDict):
    """A pair as token ids, with what it was made from."""

    prompt_ids: list[int]
    """Of both sides; the generation prompt ends it."""
    chosen_ids: list[int]
    """The model's turn, with the token that ends it."""
    rejected_ids: list[int]
    student_id: str
    assignment_id: str
    t: int
    k: int
    chosen_grade: str
    """As Verdict.to_json writes it: "3/8"."""
    rejected_grade: str


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """The pairs that can be learnt from, and how many cannot."""

    rows: list[EncodedPair]
    too_long: int
    """The longer side does not fit the context beside the assignment."""
    identical: int
    """Both sides are the same tokens."""

    def summary(self) -> dict[str, Any]:
        """Return what became of the mined pairs, as JSON-able data.

        forward_tokens are what the policy reads in an epoch, without padding; the prompt is read
        with each side.
        """
        forward = sum(
            2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"])
            for row in self.rows
        )
        left_out = {"too_long": self.too_long, "identical": self.identical}
        return {"pairs": len(self.rows), "forward_tokens": forward, **left_out}


def mine_pairs(
    logged: Sequence[LoggedDialog],
    *,
    strategy: Strategy = "grade",
    first_submission: bool = False,
    seed: int = 0,
) -> list[Pair]:
    """Return the pairs of each trajectory, in its order, from t = 1 on.

    first_submission: t = 0 as well, where the first submission is chosen. seed: of "random".
    "next" and "random" have no pair of two equal programs (equal syntax trees). Raises UsageError
    for an unknown strategy, and when there is no pair.
    """
    if strategy not in STRATEGIES:
        raise unknown_name("preference strategy", strategy, STRATEGIES)
    earliest = 0 if first_submission else 1
    pairs: list[Pair] = []
    for one in logged:
        rejected = _next_other_grade(one) if strategy == "grade" else _later(one, strategy, seed)
        for t in range(earliest, len(one.codes)):
            if (other := rejected[t]) is not None:
                pairs.append(Pair(one, t, other - t + 1))
    if not pairs:
        raise _no_pairs(logged, strategy, earliest)
    return pairs


def encode_pairs(
    pairs: Sequence[Pair], dialogs: DialogTokenizer, context: int, fmt: DialogFormat
) -> EncodedPairs:
    """Return the pairs as token ids, prompt and longer side together at most `context`.

    fmt: what the dialogs were written with. A rejected diff is made anew: in the log it is one
    against a program that the prompt does not show. Raises UsageError for an assignment that does
    not fit the context, and when no pair is left.
    """
    encoded: list[EncodedPair] = []
    too_long = identical = 0
    for pair in pairs:
        previous = pair.logged.codes[pair.t - 1] if pair.t else None
        chosen, rejected = (
            dialogs.turn(assistant_message(code, previous, fmt)["content"])
            for code in (pair.chosen_code, pair.rejected_code)
        )
        if chosen == rejected:
            identical += 1
            continue
        dialog, reserve = pair.dialog, max(len(chosen), len(rejected))
        window = fit_window(dialog, context, dialogs, reserve=reserve, generation_prompt=True)
        if window is None:
            preamble = dialog[: preamble_length(dialog)]
            fit_prompt(preamble, context, dialogs, pair.assignment_id)  # raises if it is to blame
            too_long += 1
            continue
        encoded.append(
            {
                "prompt_ids": dialogs.prompt(window.dialog),
                "chosen_ids": chosen,
                "rejected_ids": rejected,
                "student_id": pair.student_id,
                "assignment_id": pair.assignment_id,
                "t": pair.t,
                "k": pair.k,
                "chosen_grade": str(pair.chosen_grade),
                "rejected_grade": str(pair.rejected_grade),
            }
        )
    if not encoded:
        raise UsageError(
            f"none of {len(pairs)} preference pairs is left: {too_long} do not fit a context of "
            f"{context} tokens, {identical} are the same tokens on both sides; raise the context"
        )
    return EncodedPairs(encoded, too_long, identical)


def _next_other_grade(one: LoggedDialog) -> list[int | None]:
    """Return for each submission the index of the next one with another grade."""
    grades = [verdict.grade for verdict in one.verdicts]
    found: list[int | None] = [None] * len(grades)
    for index in reversed(range(len(grades) - 1)):
        differs = grades[index + 1] != grades[index]
        found[index] = index + 1 if differs else found[index + 1]
    return found


def _later(one: LoggedDialog, strategy: Strategy, seed: int) -> list[int | None]:
    """Return for each submission the index of the one that `strategy` rejects."""
    codes = one.codes
    if strategy == "next":
        return [
            index + 2 if index + 2 < len(codes) and not same_ast(code, codes[index + 2]) else None
            for index, code in enumerate(codes)
        ]
    # A stream for each trajectory and a draw for each position, whatever others there are.
    key = blake2b(f"{one.student_id}\0{one.assignment_id}".encode(), digest_size=16).digest()
    draws = np.random.default_rng([seed, *key]).random(len(codes))
    found: list[int | None] = []
    for index, (code, draw) in enumerate(zip(codes, draws.tolist(), strict=True)):
        others = [n for n in range(index + 3, len(codes)) if not same_ast(code, codes[n])]
        found.append(others[int(draw * len(others))] if others else None)
    return found


def _no_pairs(logged: Sequence[LoggedDialog], strategy: Strategy, earliest: int) -> UsageError:
    needed = earliest + _SMALLEST_K[strategy]
    longest = max((len(one.codes) for one in logged), default=0)
    if longest < needed:
        return UsageError(
            f"no preference pairs: strategy {strategy!r} needs trajectories of at least {needed} "
            f"submissions, and the longest of {len(logged)} has {longest}"
        )
    same = "has the grade of" if strategy == "grade" else "is the same program as"
    return UsageError(
        f"no preference pairs by strategy {strategy!r} in {len(logged)} trajectories: wherever "
        f"there is a later submission to reject, it {same} the chosen one"
    )
