"""What training reads, and how long it takes to make it.

    python benchmarks/training_data.py [COURSE ...] [--context N ...] [--trajectories N]

COURSE is cs1 (default) or any other: progsnap2:PATH, a course directory. Of a course with terms
the first is taken, the one to train on. The tokenizer is that of `novicegym model init`: a
byte-level BPE of 2,048 tokens trained on the course.

1. Rows: one row a submission, as the published code trains, against rows that supervise all they
   hold. Both supervise the same submissions, and a submission's own row has the longest window.
   "fewer" is how many times fewer tokens the model reads; "context" how much of what the longest
   window shows before a submission our row shows too, in tokens, on average; "<half" the share of
   submissions where it is less than half.
2. Speed on trajectories of 20 submissions (longer ones are cut): the published code's way, which
   renders and tokenizes every candidate window of every prefix anew, against ours, in turns, in
   CPU time. Theirs is timed to the windows alone, ours to the token ids, each from an empty cache.
   That both find the same windows is checked.

The published way is written here from its description. Its budget is made ours: prompt and target
together.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from novicegym.courses.load import load_course
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, Message, assistant_message
from novicegym.dialogs.tokens import DialogTokenizer
from novicegym.dialogs.windows import fit_window
from novicegym.grading.grader import Grader
from novicegym.training.logged import LoggedDialog, logged_dialogs
from novicegym.training.pairs import Pair, encode_pairs, mine_pairs
from novicegym.training.rows import NO_LOSS, OVERLAP, Row, make_rows
from novicegym.training.tiny import ModelSize, course_texts, write_model

OVERLAPS = (0.0, 0.25, OVERLAP, 0.5, 1.0)
LENGTHS = (1, 3, 5, 10, 20)
TURNS = 20
ROUNDS = 3
SMALLEST = ModelSize(hidden=32, layers=1, heads=1, key_value_heads=1, head_dim=32, intermediate=32)
FORMAT = DialogFormat()


class PublishedWindows:
    """Left truncation by assistant turns, every candidate rendered and tokenized whole."""

    def __init__(self, length: Callable[[Dialog], int]) -> None:
        self._length = length
        self.calls = self.tokens = 0

    def measure(self, dialog: Dialog) -> int:
        """Return a dialog's tokens, and remember that it was tokenized."""
        tokens = self._length(dialog)
        self.calls += 1
        self.tokens += tokens
        return tokens

    def start(self, dialog: Dialog, budget: int) -> int | None:
        """Return the index from which messages stay beside the preamble; None if none can."""
        if self.measure(dialog) <= budget:
            return 2
        preamble = dialog[:2]
        if self.measure(preamble) > budget:
            return None
        for start in (n for n in range(2, len(dialog)) if dialog[n]["role"] == "assistant"):
            if self.measure([*preamble, *dialog[start:]]) <= budget:
                return start
        self.measure(preamble)  # the window of no assistant turn, which fits
        return None


def published_rows(
    logged: Sequence[LoggedDialog], published: PublishedWindows, budget: int
) -> list[int | None]:
    """The window of every submission's own row."""
    return [
        published.start(one.dialog[: end + 1], budget)
        for one in logged
        for end in range(2, len(one.dialog), 2)
    ]


def published_pairs(
    pairs: Sequence[Pair], published: PublishedWindows, budget: int
) -> list[int | None]:
    """The window that both sides' conversations leave, truncated each for itself."""
    windows: list[int | None] = []
    for pair in pairs:
        previous = pair.logged.codes[pair.t - 1] if pair.t else None
        prompt = pair.logged.dialog[: 2 + 2 * pair.t]
        sides = [
            published.start([*prompt, assistant_message(code, previous, FORMAT)], budget)
            for code in (pair.chosen_code, pair.rejected_code)
        ]
        starts = [start for start in sides if start is not None]
        windows.append(max(starts) if len(starts) == 2 else None)
    return windows


def our_starts(logged: Sequence[LoggedDialog], rows: Sequence[Row]) -> list[int | None]:
    """The first message that the row of each submission shows beside the preamble."""
    starts = {
        (row.student_id, row.assignment_id, turn): 2 + 2 * row.start
        for row in rows
        for turn in row.turns
    }
    return [
        starts.get((one.student_id, one.assignment_id, turn))
        for one in logged
        for turn in range(len(one.codes))
    ]


def first_term(course: Course) -> Course:
    """The course's trajectories of the term that its first one is of."""
    term = course.trajectories[0].term
    return replace(course, trajectories=tuple(t for t in course.trajectories if t.term == term))


def make_tokenizer(course: Course) -> Callable[[], DialogTokenizer]:
    """Train a tokenizer; the result makes one that remembers nothing yet."""
    with tempfile.TemporaryDirectory() as folder:
        write_model(course_texts(course), Path(folder), SMALLEST, vocabulary=2048, seed=0)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = 10**9  # whole dialogs are measured, and cut afterwards
    return lambda: DialogTokenizer(tokenizer)


class Tally:
    """Tokens read and supervised, and how much context is kept."""

    def __init__(self) -> None:
        self.rows = self.forward = self.supervised = 0
        self.kept: list[float] = []


def tally(
    logged: Sequence[LoggedDialog], dialogs: DialogTokenizer, context: int
) -> tuple[Tally, dict[float, Tally], dict[int, list[int]]]:
    """Return the tally of own rows, those of ours by overlap, and tokens of both by length."""
    own, ours = Tally(), {overlap: Tally() for overlap in OVERLAPS}
    by_length = {length: [0, 0] for length in LENGTHS}
    for one in logged:
        offsets = [0, *accumulate(dialogs.count(one.dialog))]
        longest = []
        before = own.forward
        for end in range(2, len(one.dialog), 2):
            turn = len(dialogs.turn(one.dialog[end]["content"]))
            window = fit_window(
                one.dialog[:end], context, dialogs, reserve=turn, generation_prompt=True
            )
            longest.append(None if window is None else window.start)
            if window is not None:
                own.rows += 1
                own.forward += window.tokens + turn
                own.supervised += turn
        if not any(longest):
            continue
        for overlap, total in ours.items():
            rows = make_rows([one], dialogs, context, overlap=overlap).rows
            total.rows += len(rows)
            forward = sum(len(row.input_ids) for row in rows)
            total.forward += forward
            total.supervised += sum(len(row.labels) - row.labels.count(NO_LOSS) for row in rows)
            for end, most, start in zip(
                range(2, len(one.dialog), 2), longest, our_starts([one], rows), strict=True
            ):
                assert (most is None) == (start is None), "not the same submissions"
                if most is not None and start is not None and most < end:
                    shown = offsets[end] - offsets[max(start, most)]
                    total.kept.append(shown / (offsets[end] - offsets[most]))
            if overlap == OVERLAP:
                for length in LENGTHS:
                    if len(one.codes) >= length:
                        by_length[length][0] += own.forward - before
                        by_length[length][1] += forward
    return own, ours, by_length


def print_rows(logged: Sequence[LoggedDialog], dialogs: DialogTokenizer, context: int) -> None:
    """Print the table of one context."""
    own, ours, by_length = tally(logged, dialogs, context)
    print(f"\ncontext {context}, {own.rows:,} submissions of {len(logged):,} trajectories")
    print(
        f"{'':<22}{'rows':>8}{'forward':>12}{'sup./fwd':>10}{'fewer':>8}{'context':>9}{'<half':>7}"
    )
    named = {"one a submission": own}
    for overlap, one in ours.items():
        named[f"overlap {overlap:.2f}" + " (default)" * (overlap == OVERLAP)] = one
    for name, one in named.items():
        assert one.supervised == own.supervised, "not the same tokens carry loss"
        kept = one.kept or [1.0]
        print(
            f"{name:<22}{one.rows:>8,}{one.forward:>12,}{one.supervised / one.forward:>10.3f}"
            f"{own.forward / one.forward:>7.2f}x{statistics.mean(kept):>9.3f}"
            f"{sum(share < 0.5 for share in kept) / len(kept):>7.3f}"
        )
    print(
        "fewer by length, at the default overlap: "
        + ", ".join(
            f"{length}+ submissions {theirs / mine:.2f}x"
            for length, (theirs, mine) in by_length.items()
            if mine
        )
    )


def cut_to(turns: int, logged: Sequence[LoggedDialog], most: int) -> list[LoggedDialog]:
    """The first trajectories that have so many submissions, cut to that many."""
    long = [one for one in logged if len(one.codes) >= turns]
    return [
        replace(
            one,
            codes=one.codes[:turns],
            verdicts=one.verdicts[:turns],
            dialog=one.dialog[: 2 + 2 * turns],
        )
        for one in long[:most]
    ]


def cpu_seconds(job: Callable[[Any], object], argument: object) -> float:
    """CPU time of this process: other work on the machine does not count."""
    start = time.process_time()
    job(argument)
    return time.process_time() - start


def print_speed(
    logged: Sequence[LoggedDialog], make_dialogs: Callable[[], DialogTokenizer], context: int
) -> None:
    """Time both ways and check that they find the same windows."""
    dialogs = make_dialogs()
    tokenizer = dialogs.tokenizer

    def length(dialog: Dialog) -> int:
        return len(tokenizer.apply_chat_template(dialog, return_dict=False))

    # A turn ends with its end token; a rendered message may go on, with a line break.
    answer: Message = {"role": "assistant", "content": "x"}
    opening = logged[0].dialog[:2]
    behind = length([*opening, answer]) - len(dialogs.prompt(opening)) - len(dialogs.turn("x"))
    budget = context + behind
    pairs = mine_pairs(logged)
    jobs: dict[str, tuple[Callable[[PublishedWindows], object], Callable[..., object]]] = {
        "rows": (
            lambda published: published_rows(logged, published, budget),
            lambda fresh: make_rows(logged, fresh, context),
        ),
        "pairs": (
            lambda published: published_pairs(mine_pairs(logged), published, budget),
            lambda fresh: encode_pairs(mine_pairs(logged), fresh, context, FORMAT),
        ),
    }
    for name, (theirs, mine) in jobs.items():
        taken = []
        for _ in range(ROUNDS):
            published, fresh = PublishedWindows(length), make_dialogs()
            taken.append((cpu_seconds(theirs, published), cpu_seconds(mine, fresh)))
        theirs_s, mine_s = (statistics.median(column) for column in zip(*taken, strict=True))
        ratios = [a / b for a, b in taken]
        print(
            f"context {context:>6} {name:<6}{theirs_s:>9.3f} s, {published.tokens:,} tokens in "
            f"{published.calls:,} calls; ours {mine_s:.4f} s: {statistics.median(ratios):.0f}x "
            f"({min(ratios):.0f} to {max(ratios):.0f})"
        )
    published = PublishedWindows(length)
    theirs_starts = published_rows(logged, published, budget)
    full = make_rows(logged, dialogs, context, overlap=1)
    assert our_starts(logged, full.rows) == theirs_starts, "other windows"
    starts = published_pairs(pairs, published, budget)
    expected = [
        tokenizer.apply_chat_template(
            [*pair.dialog[:2], *pair.dialog[start:]], add_generation_prompt=True, return_dict=False
        )
        for pair, start in zip(pairs, starts, strict=True)
        if start is not None
    ]
    encoded = encode_pairs(pairs, dialogs, context, FORMAT).rows
    assert [row["prompt_ids"] for row in encoded] == expected, "other windows of pairs"
    print(f"{'':15}the same windows: {len(theirs_starts)} of rows, {len(expected)} of pairs")


def main() -> None:
    """Print both parts for every course."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("courses", nargs="*", default=["cs1"], metavar="COURSE")
    parser.add_argument("--context", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--trajectories", type=int, default=10, help="of 20 submissions, to time")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for spec in options.courses:
        course = first_term(load_course(spec))
        make_dialogs = make_tokenizer(course)
        with Grader() as grader:
            logged = logged_dialogs(course, grader, FORMAT)
        dialogs = make_dialogs()
        sizes = sorted(dialogs.measure(one.dialog) for one in logged)
        print(
            f"\n{course.name}: {len(logged):,} trajectories, "
            f"{sum(len(one.codes) for one in logged):,} submissions, dialogs of "
            f"{sizes[len(sizes) // 2]:,} tokens (median), {sizes[-1]:,} at most"
        )
        for context in options.context:
            print_rows(logged, dialogs, context)
        timed = cut_to(TURNS, logged, options.trajectories)
        tokens = statistics.mean(dialogs.measure(one.dialog) for one in timed)
        print(
            f"\n{len(timed)} trajectories of {TURNS} submissions, {tokens:,.0f} tokens each (mean)"
        )
        for context in options.context:
            print_speed(timed, make_dialogs, context)


if __name__ == "__main__":
    main()
