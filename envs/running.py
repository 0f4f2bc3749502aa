"""What every environment of one episode has: its grader, and the episode that runs."""

from __future__ import annotations

from novicegym.envs.episode import Episode
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader, shared_grader


class RunsAnEpisode:
    """A part of an environment, which sets `_grader` and, by its `reset`, `_episode`."""

    _grader: Grader | None
    """None for the one that the process shares."""
    _episode: Episode | None
    """None before the first reset."""

    @property
    def grader(self) -> Grader:
        """The grader in use."""
        return self._grader if self._grader is not None else shared_grader()

    @property
    def episode(self) -> Episode:
        """The running episode; UsageError before the first reset."""
        if self._episode is None:
            raise UsageError("call reset() first")
        return self._episode
