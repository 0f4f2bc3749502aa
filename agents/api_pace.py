"""So many requests and so many tokens a minute, and no more."""

from __future__ import annotations

import asyncio
import time

_LOOK_SECONDS = 0.1
"""How often to look whether it is stopped."""


class Pace:
    """Spaces requests evenly, so that no minute holds more than it may, from the first one on.

    It knows one process: where several ask the same endpoint, each gets its share of the limit.
    """

    def __init__(self, requests_per_minute: float, tokens_per_minute: float) -> None:
        """math.inf is no limit."""
        self._per_request = 60.0 / requests_per_minute
        self._per_token = 60.0 / tokens_per_minute
        self._requests_due = self._tokens_due = 0.0
        self.is_stopped = False
        """Whether nothing more may be sent; may be set from any thread."""

    async def wait(self, tokens: int) -> None:
        """Return when a request may be sent that will use about so many tokens.

        Raises CancelledError when stopped, before or while it waits.
        """
        now = time.monotonic()
        start = max(now, self._requests_due, self._tokens_due)
        # Taken before the wait: who comes next is sent after this one.
        self._requests_due = start + self._per_request
        self._tokens_due = start + tokens * self._per_token
        while not self.is_stopped and (left := start - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))
        if self.is_stopped:
            raise asyncio.CancelledError

    def correct(self, estimated: int, used: int) -> None:
        """Tell how many tokens a request has used that was let through with an estimate."""
        self._tokens_due += (used - estimated) * self._per_token
