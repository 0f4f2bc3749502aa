"""Rows for SFT and PARA: every logged submission is supervised once, many of them in one row.

One forward pass over a trajectory supervises all its submissions: the loss is the paper's sum over
turns, where a row for each turn would repeat the prefix each time. A trajectory that does not fit
the context becomes several rows, each the preamble and a run of whole messages. A later row
begins before its first new submission and shows again, without loss, what led to it.

What a submission has before it is the whole trajectory so far, or at least `overlap` of the room
beside the preamble, or as much as fits in whole turns. More overlap is more context for more
tokens: at 1, every submission has the longest window there is (`windows.fit_window`).
`benchmarks/training_data.py` shows what each costs; at a third, 9 tenths of that window are kept
at a context of 4096 tokens, on the embedded course.

Covered: submissions too long for the context, which are left out and named. Not covered: packing,
padding and batches, which are the trainer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, chain
from typing import Any

from novicegym.dialogs.tokens import DialogTokenizer
from novicegym.dialogs.tutoring import shows_submission
from novicegym.dialogs.windows import fit_prompt, fit_window, preamble_length
from novicegym.errors import UsageError
from novicegym.training.logged import LoggedDialog

NO_LOSS = -100
"""The label of a token that is read and not learnt."""
OVERLAP = 1 / 3


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence to train on; it ends with the last submission that carries loss."""

    input_ids: list[int]
    labels: list[int]
    """The token itself in the model's turns, each in one row only; elsewhere NO_LOSS."""
    student_id: str
    assignment_id: str
    start: int
    """The first submission shown, an index into the trajectory's codes."""
    turns: tuple[int, ...]
    """The submissions that carry loss, likewise."""


@dataclass(frozen=True, slots=True)
class LeftOutTurn:
    """A submission that does not fit the context beside the preamble."""

    student_id: str
    assignment_id: str
    turn: int
    """An index into the trajectory's codes."""
    tokens: int
    """The context it would take."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of some trajectories, in their order, and what does not fit the context."""

    rows: list[Row]
    too_long: list[LeftOutTurn]

    def summary(self) -> dict[str, Any]:
        """Return what became of the logged submissions, as JSON-able data.

        forward_tokens are what the model reads in an epoch, without padding; supervised_tokens
        those of them that carry loss.
        """
        return {
            "rows": len(self.rows),
            "supervised_turns": sum(len(row.turns) for row in self.rows),
            "forward_tokens": sum(len(row.input_ids) for row in self.rows),
            "supervised_tokens": sum(
                len(row.labels) - row.labels.count(NO_LOSS) for row in self.rows
            ),
            "too_long": [asdict(turn) for turn in self.too_long],
        }


def make_rows(
    logged: Sequence[LoggedDialog],
    dialogs: DialogTokenizer,
    context: int,
    *,
    overlap: float = OVERLAP,
) -> Rows:
    """Return rows of at most `context` tokens that supervise every submission once.

    Raises UsageError for an assignment that does not fit the context, and if there is no row.
    """
    if not 0 <= overlap <= 1:
        raise UsageError(f"overlap must be between 0 and 1, got {overlap}")
    made = Rows([], [])
    for one in logged:
        for row in _rows(one, dialogs, context, overlap):
            if isinstance(row, Row):
                made.rows.append(row)
            else:
                made.too_long.append(row)
    if not logged:
        raise UsageError("there is no trajectory to train on; check the course and the split")
    if not made.rows:
        raise UsageError(
            f"none of the {len(made.too_long)} submissions fits a context of {context} tokens "
            "beside its assignment; raise the context"
        )
    return made


def _rows(
    one: LoggedDialog, dialogs: DialogTokenizer, context: int, overlap: float
) -> Iterator[Row | LeftOutTurn]:
    first = preamble_length(one.dialog)
    opening = one.dialog[:first]
    # A tutor's holds submissions, of which the oldest make room, as they do when it is asked.
    kept = fit_window(opening, context, dialogs, reserve=context // 4)
    kept = kept or fit_window(opening, context, dialogs)
    if kept is None and shows_submission(opening):
        yield LeftOutTurn(one.student_id, one.assignment_id, 0, dialogs.measure(opening))
        return
    kept = kept or fit_prompt(opening, context, dialogs, one.assignment_id)  # says what is wrong
    messages = dialogs.encode([*kept.dialog, *one.dialog[first:]])
    offsets = [0, *accumulate(len(message.ids) for message in messages)]
    ids = list(chain.from_iterable(message.ids for message in messages))
    preamble = ids[: offsets[first]]
    room = context - len(preamble)
    spoken = [n for n, message in enumerate(messages) if message.turn != (0, 0)]
    opens = [offsets[n] for n in spoken]  # where messages begin, and rows may
    turns = [(offsets[n] + messages[n].turn[0], offsets[n] + messages[n].turn[1]) for n in spoken]

    def fits(start: int, last: int) -> bool:
        return turns[last][1] - opens[start] <= room

    new = 0
    while new < len(turns):
        if not fits(new, new):
            needed = len(preamble) + turns[new][1] - opens[new]
            yield LeftOutTurn(one.student_id, one.assignment_id, new, needed)
            new += 1
            continue
        start = last = new
        while start > 0 and fits(start - 1, new) and opens[new] - opens[start] < overlap * room:
            start -= 1
        while last + 1 < len(turns) and fits(start, last + 1):
            last += 1
        begin, end = opens[start], turns[last][1]
        labels = [NO_LOSS] * (len(preamble) + end - begin)
        for turn_begin, turn_end in turns[new : last + 1]:
            shift = len(preamble) - begin
            labels[turn_begin + shift : turn_end + shift] = ids[turn_begin:turn_end]
        yield Row(
            [*preamble, *ids[begin:end]],
            labels,
            one.student_id,
            one.assignment_id,
            start,
            tuple(range(new, last + 1)),
        )
        new = last + 1
