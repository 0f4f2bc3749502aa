"""A tutor who waits to be asked: another tutor's messages, where a student would have asked.

With it a simulated student is helped in the states in which real ones asked for help, so that
what follows can be compared with the logs (`novicegym.eval.hint_effects`). Whether she asks is
drawn by an `AsksPolicy`, from the seed and the state alone: the same state asked about again, in
any batch, is answered alike. The other tutor sees only the dialogs in which she asks.

Covered: what the infos of an episode have said since its start; submissions before it count by
their number. Not covered: two episodes of one start at the same time, whose histories would mix;
more than `MOST_EPISODES` at the same time, of which the one not asked about for longest is
forgotten; that she asked on another assignment, which no info tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from novicegym.agents.asks import ITAP, AsksPolicy, Attempt
from novicegym.agents.base import Agent
from novicegym.agents.tutors.states import State
from novicegym.dialogs.serialize import Dialog
from novicegym.errors import UsageError

MOST_EPISODES = 8_192
"""Episodes that are remembered; which of them are over, nobody tells a tutor."""


@dataclass(slots=True)
class _Episode:
    """What is known of one episode, by step."""

    attempts: dict[int, Attempt] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)


class OnRequestTutor:
    """Says what another tutor says, where the student asks. Knows: what that tutor knows."""

    def __init__(self, tutor: Agent, asks: AsksPolicy = ITAP, *, seed: int = 0) -> None:
        self.tutor, self._asks, self._seed = tutor, asks, seed
        self._episodes: dict[tuple[str, str, int], _Episode] = {}

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"on_request({self.tutor.name})"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[State]) -> list[str]:
        """Return the other tutor's message where the student asks, else an empty one."""
        asking = [place for place, info in enumerate(infos) if self._student_asks(info)]
        said = [""] * len(dialogs)
        if asking:
            answers = self.tutor.act(
                [dialogs[place] for place in asking], [infos[place] for place in asking]
            )
            if len(answers) != len(asking):
                raise UsageError(
                    f"tutor {self.tutor.name!r} gave {len(answers)} messages for {len(asking)} "
                    "dialogs"
                )
            for place, answer in zip(asking, answers, strict=True):
                said[place] = answer
        return said

    def _student_asks(self, info: State) -> bool:
        step = info["step"]
        key = (info["student_id"], info["assignment_id"], info["position"])
        if info["outcome"] in ("", "correct"):
            return False
        # Last in order: the first is then the one not asked about for longest.
        episode = self._episodes[key] = self._episodes.pop(key, _Episode())
        if len(self._episodes) > MOST_EPISODES:
            del self._episodes[next(iter(self._episodes))]
        # A step that comes again is a new episode or the same question: what came later goes.
        episode.attempts = {k: one for k, one in episode.attempts.items() if k < step}
        episode.asked = {k for k in episode.asked if k < step}
        episode.attempts[step] = Attempt(info["code"], info["grade"], info["outcome"])
        probability = self._asks.probability(
            info["assignment_id"],
            [one for _, one in sorted(episode.attempts.items())],
            asked_here=bool(episode.asked),
            unseen=info["position"] + step - len(episode.attempts),
        )
        if self._draw(*key, step, info["code"]) < probability:
            episode.asked.add(step)
            return True
        return False

    def _draw(self, *state: object) -> float:
        digest = blake2b(repr(state).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        seed = int.from_bytes(digest, "big")
        return float(np.random.default_rng([self._seed, seed]).random())
