"""The part of a dialog that fits a token budget.

System prompt and assignment (the preamble) always stay; the oldest submission goes first, with
the feedback that answers it (paper, section 5.2). Each message is tokenized once, so
the cost is linear in the dialog, where rendering every candidate window is quadratic.

That is right only where messages are additive: the tokens of a window are the sum of its
messages' tokens. Templates that fence messages with special tokens are (ChatML, Llama 3, Qwen 3).
It can fail where
- messages meet in plain text, so that the tokenizer merges across the border;
- a message's rendering depends on others than a frame shows: how many messages there are, what
  came before, or a change to more than the last assistant message.
`TemplateCounter` tests this when built, on dialogs made to provoke it, and sets `additive`;
`fit_window` then renders candidate windows whole instead: slower, and exact for any template.
`TemplateCounter.verify` tests one dialog of yours. `Window.tokens` is what to compare with the
tokens you go on to make of the window.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol, TypeAlias

from novicegym.dialogs.serialize import Dialog, Message
from novicegym.dialogs.tutoring import shows_submission, without_oldest
from novicegym.errors import UsageError

Render: TypeAlias = Callable[[Dialog, bool], Sequence[int]]
"""Token ids of a dialog; True adds the generation prompt. With a Hugging Face tokenizer:
`lambda dialog, ask: tokenizer.apply_chat_template(dialog, add_generation_prompt=ask,
return_dict=False)`."""


class TokenCounter(Protocol):
    """What tells the size of dialogs, in tokens."""

    @property
    def additive(self) -> bool:
        """Whether the sum of `count` is the size of any window; else only `measure` is right."""
        ...

    @property
    def generation_prompt(self) -> int:
        """Tokens added to the end when the model is to speak next."""
        ...

    def count(self, dialog: Dialog) -> list[int]:
        """Return each message's tokens, every message tokenized once."""
        ...

    def measure(self, dialog: Dialog, generation_prompt: bool = False) -> int:
        """Return the tokens of the whole dialog as the model would read it."""
        ...


@dataclass(frozen=True, slots=True)
class MessageCounter:
    """Counts by a plain function of one message."""

    tokens: Callable[[Message], int]
    generation_prompt: int = 0

    @property
    def additive(self) -> bool:
        """True by definition."""
        return True

    def count(self, dialog: Dialog) -> list[int]:
        """Return each message's tokens."""
        return [self.tokens(message) for message in dialog]

    def measure(self, dialog: Dialog, generation_prompt: bool = False) -> int:
        """Return the sum."""
        return sum(self.count(dialog)) + generation_prompt * self.generation_prompt


class TemplateCounter:
    """Counts by rendering with a chat template, each message once, in a frame of short ones.

    A message's size is the difference between the frame with and without it. An assistant
    message that something follows is measured with something following, because Qwen 3 writes
    an empty thinking block before the last assistant message only.
    """

    def __init__(self, render: Render, *, additive: bool | None = None) -> None:
        """additive: None finds out; False has every window rendered whole."""
        self._render = render
        self._opening = [_message("system", "s"), _message("user", "u")]
        self._assistant, self._user = _message("assistant", "a"), _message("user", "u")
        self._opening_size = self.measure(self._opening)
        self._turn_size = self.measure([*self._opening, self._assistant, self._user])
        # How a turn's size divides between its two messages; it cancels out in their sum.
        self._user_size = self._turn_size - self.measure([*self._opening, self._assistant])
        self.generation_prompt = self.measure(self._opening, True) - self._opening_size
        self.additive = all(map(self.verify, probes())) if additive is None else additive

    def count(self, dialog: Dialog) -> list[int]:
        """Return each message's tokens; the preamble is measured whole, on its last message."""
        first = preamble_length(dialog)
        counts = [0] * (first - 1) + [self.measure(dialog[:first])]
        for index in range(first, len(dialog)):
            counts.append(self._size(dialog, index))
        return counts

    def measure(self, dialog: Dialog, generation_prompt: bool = False) -> int:
        """Return the tokens of the whole dialog, rendered once."""
        return len(self._render(dialog, generation_prompt))

    def verify(self, dialog: Dialog) -> bool:
        """Return whether the sum of `count` is the size of the dialog and of all its windows.

        It renders every window, so it is for samples.
        """
        counts = self.count(dialog)
        first = preamble_length(dialog)
        for start in _starts(dialog, first, len(dialog)):
            window = [*dialog[:first], *dialog[start:]]
            tokens = sum(counts[:first]) + sum(counts[start:])
            if tokens != self.measure(window):
                return False
            # Some templates refuse to prompt for a second assistant message in a row.
            prompted = window[-1]["role"] == "user"
            if prompted and tokens + self.generation_prompt != self.measure(window, True):
                return False
        return True

    def _size(self, dialog: Dialog, index: int) -> int:
        message = dialog[index]
        if message["role"] == "assistant":
            if index == len(dialog) - 1:
                return self.measure([*self._opening, message]) - self._opening_size
            framed = self.measure([*self._opening, message, self._user])
            return framed - self._opening_size - self._user_size
        if dialog[index - 1]["role"] == "assistant":
            framed = self.measure([*self._opening, self._assistant, message])
            return framed - self._turn_size + self._user_size
        return self.measure([*self._opening, message]) - self._opening_size


@dataclass(frozen=True, slots=True)
class Window:
    """The messages of a dialog that fit."""

    dialog: Dialog
    """Preamble and the kept rest; a new object."""
    start: int
    """Index in the full dialog of the first message kept after the preamble: the preamble's
    length when nothing was cut, the dialog's length when everything was."""
    dropped: int
    """Messages cut; 0 when the window is the whole dialog. Of a tutor's first message the
    submissions that were cut do not count."""
    tokens: int
    """Its size, with the generation prompt if that was asked for."""


def preamble_length(dialog: Dialog) -> int:
    """Return how many messages always stay: those up to the first user message."""
    for index, message in enumerate(dialog[:2]):
        if message["role"] == "user":
            return index + 1
    roles = [message["role"] for message in dialog[:2]]
    raise UsageError(f"a dialog starts with a system and a user message, got roles {roles}")


def fit_window(
    dialog: Dialog,
    budget: int,
    counter: TokenCounter,
    *,
    reserve: int = 0,
    generation_prompt: bool = False,
) -> Window | None:
    """Return the longest window of at most `budget - reserve` tokens.

    None when the preamble alone is larger (`fit_prompt` raises instead). A tutor's preamble holds
    submissions, too: the oldest of those go first, and None where the last of all would go.
    reserve: tokens kept free for what is to follow, the target or the model's answer, which so is
    never cut.
    """
    limit = _limit(budget, reserve)
    versions = [dialog]
    while (shorter := without_oldest(versions[-1])) is not None:
        versions.append(shorter)
    if len(versions) == 1:
        return _fit(dialog, limit, counter, generation_prompt)

    def is_whole(version: Dialog) -> bool:
        window = _fit(version, limit, counter, generation_prompt)
        return window is not None and not window.dropped

    longest = bisect_left(versions, True, key=is_whole)
    window = _fit(versions[min(longest, len(versions) - 1)], limit, counter, generation_prompt)
    return None if window is not None and window.start == len(dialog) > 2 else window


def _fit(
    dialog: Dialog, limit: int, counter: TokenCounter, generation_prompt: bool
) -> Window | None:
    """Return the longest window of at most `limit` tokens that has the whole preamble."""
    first = preamble_length(dialog)
    asked = counter.generation_prompt if generation_prompt else 0
    if counter.additive:
        sums = [0, *accumulate(counter.count(dialog))]
        for start in _starts(dialog, first, len(dialog)):
            tokens = sums[first] + sums[-1] - sums[start] + asked
            if tokens <= limit:
                return _window(dialog, first, start, len(dialog), tokens)
        return None
    for start in _starts(dialog, first, len(dialog)):
        tokens = counter.measure([*dialog[:first], *dialog[start:]], generation_prompt)
        if tokens <= limit:
            return _window(dialog, first, start, len(dialog), tokens)
    return None


def fit_prompt(
    dialog: Dialog,
    budget: int,
    counter: TokenCounter,
    assignment_id: str,
    *,
    reserve: int = 0,
    generation_prompt: bool = True,
) -> Window:
    """Return `fit_window`'s window; raise UsageError naming the assignment if there is none."""
    window = fit_window(
        dialog, budget, counter, reserve=reserve, generation_prompt=generation_prompt
    )
    if window is None:
        size = counter.measure(dialog[: preamble_length(dialog)], generation_prompt)
        reserved = f" beside {reserve} reserved" if reserve else ""
        what = "with the last submission" if shows_submission(dialog) else "alone"
        raise UsageError(
            f"the prompt of assignment {assignment_id!r} {what} takes {size} tokens{reserved}, "
            f"more than the context of {budget}; raise the context (of a training stage: --set "
            "context=TOKENS) or leave the assignment out"
        )
    return window


def prefix_windows(
    dialog: Dialog,
    budget: int,
    counter: TokenCounter,
    *,
    reserve: int = 0,
    generation_prompt: bool = False,
) -> list[Window] | None:
    """Return the window in front of each assistant message, all messages counted once.

    The windows are those `fit_window` gives for `dialog[:i]`, i being each assistant message.
    """
    limit = _limit(budget, reserve)
    first = preamble_length(dialog)
    ends = [i for i in range(first, len(dialog)) if dialog[i]["role"] == "assistant"]
    windows: list[Window] = []
    if not counter.additive:
        for end in ends:
            window = fit_window(
                dialog[:end], budget, counter,
                reserve=reserve, generation_prompt=generation_prompt,
            )  # fmt: skip
            if window is None:
                return None
            windows.append(window)
        return windows
    sums = [0, *accumulate(counter.count(dialog))]
    asked = counter.generation_prompt if generation_prompt else 0
    if sums[first] + asked > limit:
        return None
    starts = iter(_starts(dialog, first, len(dialog)))
    start = next(starts)
    for end in ends:
        # A longer prefix never begins earlier, so `start` only moves on, to `end` at most.
        while (tokens := sums[first] + sums[end] - sums[start] + asked) > limit:
            start = next(starts)
        windows.append(_window(dialog, first, start, end, tokens))
    return windows


def _limit(budget: int, reserve: int) -> int:
    if budget < 1 or reserve < 0:
        raise UsageError(
            f"budget must be at least 1 token and reserve at least 0, got {budget} and {reserve}"
        )
    return budget - reserve


def _starts(dialog: Dialog, first: int, end: int) -> list[int]:
    """Return where a window may resume after the preamble, longest window first."""
    later = [i for i in range(first + 1, end) if dialog[i]["role"] == "assistant"]
    return [first, *later, *([end] if end > first else [])]


def _window(dialog: Dialog, first: int, start: int, end: int, tokens: int) -> Window:
    kept = [*dialog[:first], *dialog[start:end]]
    return Window([message.copy() for message in kept], start, start - first, tokens)


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def probes() -> list[Dialog]:
    """Return dialogs whose messages begin and end in what merges or gets stripped."""
    edges = ("word", "  spaces  ", "\n\nlines\n\n", "7", "", "```python\nx = 1\n```", "é…")
    dialogs = []
    for shift, edge in enumerate(edges):
        contents = [edges[(shift + i) % len(edges)] + edge for i in range(8)]
        roles = ["system", *(["user", "assistant"] * 4)]
        messages = [_message(role, text) for role, text in zip(roles, contents, strict=False)]
        dialogs += [messages[:6], messages[:7]]
    return dialogs
