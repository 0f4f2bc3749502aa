"""Reading what a hostile child says, up to a cap, and answering it where it may ask."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from novicegym.grading.limits import Limits

Answer = Callable[[bytes], bytes]
"""Replies to a line of the child's; b"" when the line is no question."""


def framed(message: bytes) -> bytes:
    """Return a message as it is sent to a child: its length first."""
    return len(message).to_bytes(4, "big") + message


def reply_room(limits: Limits) -> int:
    """Return how many bytes a child may say in all, or between two answers."""
    # Escapes make the text up to 6 times as long as what it says, for answers and output each.
    return 6 * (limits.reply_bytes + limits.output_bytes) + 65_536


def read_reply(
    receive: Callable[[int], bytes],
    room: int,
    answer: Answer | None,
    send: Callable[[bytes], object],
) -> tuple[bytes, bool]:
    """Return what the child said until it ended, and whether that was more than fits.

    The reply is cut there. What was answered is no part of the reply.
    """
    parts: list[bytes] = []
    left = room
    while True:
        try:
            part = receive(65_536)
        except (ConnectionResetError, BlockingIOError):
            part = b""
        if not part:
            return b"".join(parts), False
        left -= len(part)
        if left < 0:
            return b"".join(parts), True
        parts.append(part)
        if answer is not None and part.endswith(b"\n"):
            said = answer(b"".join(parts))
            if said:
                parts.clear()
                left = room
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    send(framed(said))
