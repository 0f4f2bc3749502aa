"""The tutor who says nothing: the arm every other one is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from novicegym.agents.tutors.states import State
from novicegym.dialogs.serialize import Dialog


class SilentTutor:
    """Says nothing. Knows: nothing."""

    name = "silent"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[State]) -> list[str]:
        """Return an empty message per dialog."""
        return ["" for _ in dialogs]
