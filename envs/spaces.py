"""Spaces of text: programs and dialogs.

`gymnasium.spaces.Text` enumerates its character set, which for all of Unicode takes seconds
to build and megabytes to pickle; these bound only the length.
"""

from __future__ import annotations

from typing import Any

from gymnasium.spaces import Space

from novicegym.dialogs.serialize import Dialog, Message

ROLES = ("system", "user", "assistant")
# Samples are short: they exist to try an environment, not to cover the space.
_SAMPLE_LENGTH = 80
_SAMPLE_TURNS = 3
_SAMPLE_ALPHABET = tuple("abcdefghij =+-*/()[]:,.'\"\n0123456789`")


class CodeSpace(Space[str]):
    """Any text of at most `max_length` characters: what a policy may submit."""

    def __init__(self, max_length: int = 1_000_000, seed: int | None = None) -> None:
        self.max_length = max_length
        super().__init__(shape=None, dtype=None, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> str:
        """Return a random short text; masks do not apply to text."""
        length = int(self.np_random.integers(0, min(_SAMPLE_LENGTH, self.max_length) + 1))
        picks = self.np_random.integers(0, len(_SAMPLE_ALPHABET), size=length)
        return "".join(_SAMPLE_ALPHABET[pick] for pick in picks)

    def contains(self, x: Any) -> bool:
        """Return whether `x` is a string that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeSpace) and other.max_length == self.max_length

    __hash__ = None  # type: ignore[assignment]  # as other spaces: equal, mutable, unhashable

    def __repr__(self) -> str:
        return f"CodeSpace(max_length={self.max_length})"


class DialogSpace(Space[Dialog]):
    """A list of messages {"role": ..., "content": ...} of at most `max_messages`."""

    def __init__(
        self, max_messages: int = 100_000, max_length: int = 10_000_000, seed: int | None = None
    ) -> None:
        self.max_messages = max_messages
        self.max_length = max_length
        """Largest number of characters of one message."""
        super().__init__(shape=None, dtype=None, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> Dialog:
        """Return a random short dialog: system, user, then assistant and user in turn."""
        code = CodeSpace(min(_SAMPLE_LENGTH, self.max_length))
        code.seed(int(self.np_random.integers(2**31)))
        roles = ["system", "user"]
        roles += ["assistant", "user"] * int(self.np_random.integers(0, _SAMPLE_TURNS + 1))
        return [Message(role=role, content=code.sample()) for role in roles[: self.max_messages]]

    def contains(self, x: Any) -> bool:
        """Return whether `x` is a list of well-formed messages within the bounds."""
        return (
            isinstance(x, list)
            and len(x) <= self.max_messages
            and all(
                isinstance(message, dict)
                and message.keys() == {"role", "content"}
                and message["role"] in ROLES
                and isinstance(message["content"], str)
                and len(message["content"]) <= self.max_length
                for message in x
            )
        )

    @property
    def is_np_flattenable(self) -> bool:
        """A dialog has no fixed-size array form."""
        return False

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DialogSpace)
            and other.max_messages == self.max_messages
            and other.max_length == self.max_length
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"DialogSpace(max_messages={self.max_messages}, max_length={self.max_length})"
