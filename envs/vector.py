"""`gym.make_vec("FalconCodeStudent-v0", num_envs=N)`: many students, graded in one batch.

Covered: the three autoreset modes, one start per sub-environment, partial resets by mask; one
tutor, asked about all students at once.
Not covered: wrappers around sub-environments, for which `vectorization_mode="sync"` is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import CodeFormat, Dialog, DialogFormat
from novicegym.envs.episode import Episode, EpisodeRules, begin, play
from novicegym.envs.partner import PartnerSpec, open_partner
from novicegym.envs.render import render_episode
from novicegym.envs.spaces import CodeSpace, DialogSpace
from novicegym.envs.student import StudentEnv, checked_render_mode, next_start, open_split
from novicegym.errors import UsageError
from novicegym.grading.feedback import FeedbackLevel
from novicegym.grading.grader import Grader, shared_grader
from novicegym.rewards.base import Reward, make_reward


class StudentVectorEnv(VectorEnv[tuple[Dialog, ...], Sequence[str], Any]):
    """As many `StudentEnv`s as asked for, stepped together; arguments as there.

    Observations are a tuple of dialogs. `reset(options=...)` takes the options of `StudentEnv`
    for all, or {"starts": [options or None, ...]} for each, and gymnasium's "reset_mask".
    Seeds, episodes and rewards equal those of `num_envs` single environments. A tutor has
    `tutor_timeout` seconds for its answers to all.
    """

    metadata = {**StudentEnv.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        course: str | Course = "cs1",
        *,
        split: str | None = None,
        course_options: Mapping[str, Any] | None = None,
        horizon: int = 5,
        min_position: int = 1,
        reward: str | Mapping[str, float] | Reward = "tiered",
        feedback: FeedbackLevel = "full",
        code_format: CodeFormat = "code",
        exit_ends_episode: bool = False,
        past_log: bool = False,
        reveal: bool = False,
        tutor: PartnerSpec | None = None,
        tutor_timeout: float | None = None,
        grader: Grader | None = None,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise UsageError(f"num_envs must be at least 1, got {num_envs}")
        self.num_envs = num_envs
        self.course = open_split(course, split, course_options)
        self.rules = EpisodeRules(
            horizon=horizon,
            format=DialogFormat(code=code_format, feedback=feedback),
            exit_ends_episode=exit_ends_episode,
            past_log=past_log,
            tutor_timeout=tutor_timeout,
        )
        self.tutor = None if tutor is None else open_partner(tutor, self.course, "tutor")
        self.min_position = min_position
        self.reward = make_reward(reward)
        self.reveal = reveal
        self.render_mode = checked_render_mode(render_mode)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = DialogSpace()
        self.single_action_space = CodeSpace()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._grader = grader
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._episodes: list[Episode | None] = [None] * num_envs

    @property
    def grader(self) -> Grader:
        """The grader in use."""
        return self._grader if self._grader is not None else shared_grader()

    @property
    def episodes(self) -> list[Episode]:
        """The running episodes; UsageError before the first reset."""
        if any(episode is None for episode in self._episodes):
            raise UsageError("call reset() first")
        return [episode for episode in self._episodes if episode is not None]

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[tuple[Dialog, ...], dict[str, Any]]:
        """Begin episodes in all sub-environments, or in those of options["reset_mask"].

        An integer seed gives sub-environment i the seed + i, as gymnasium's own vectors do.
        """
        options = dict(options or {})
        seed = int(seed) if isinstance(seed, np.integer) else seed
        mask = _reset_mask(options.pop("reset_mask", None), self.num_envs)
        starts = options.pop("starts", None)
        if starts is not None and options:
            raise UsageError(f"'starts' already says where each begins; drop {sorted(options)}")
        each = starts if starts is not None else [options] * self.num_envs
        for name, given in (("starts", each), ("seed", seed)):
            if not isinstance(given, (int, type(None))) and len(given) != self.num_envs:
                raise UsageError(f"{name} needs {self.num_envs} entries, got {len(given)}")
        for i in np.flatnonzero(mask).tolist():
            own = seed + i if isinstance(seed, int) else None if seed is None else seed[i]
            if own is not None or self._rngs[i] is None:
                self._rngs[i], _ = seeding.np_random(own)
        self._begin({i: each[i] for i in np.flatnonzero(mask).tolist()})
        return self._dialogs(), self._infos(mask)

    def step(
        self, actions: Sequence[str]
    ) -> tuple[tuple[Dialog, ...], Any, Any, Any, dict[str, Any]]:
        """Submit one action in each sub-environment; grading is one batch."""
        if len(actions) != self.num_envs:
            raise UsageError(f"need {self.num_envs} actions, got {len(actions)}")
        episodes = self.episodes
        ended = np.array([bool(episode.stop) for episode in episodes])
        if self.autoreset_mode is not AutoresetMode.NEXT_STEP and ended.any():
            raise UsageError(
                f"sub-environments {np.flatnonzero(ended).tolist()} have ended; "
                "reset them with options={'reset_mask': ...} first"
            )
        running = np.flatnonzero(~ended).tolist()
        rewards = np.zeros(self.num_envs)
        rewards[running] = play(
            [episodes[i] for i in running],
            [actions[i] for i in running],
            self.grader,
            self.reward,
            self.tutor,
        )
        if ended.any():
            self._begin(dict.fromkeys(np.flatnonzero(ended).tolist()))
        terminated = np.array([episode.terminated for episode in self.episodes])
        truncated = np.array([episode.truncated for episode in self.episodes])
        infos: dict[str, Any] = {}
        done = np.flatnonzero(terminated | truncated).tolist()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and done:
            for i in done:
                last = self.episodes[i]
                final = {"final_obs": last.dialog(), "final_info": last.info(reveal=self.reveal)}
                infos = self._add_info(infos, final, i)
            self._begin(dict.fromkeys(done))
        everywhere = np.ones(self.num_envs, dtype=bool)
        return self._dialogs(), rewards, terminated, truncated, self._infos(everywhere, infos)

    def render(self) -> tuple[str, ...] | None:
        """Return each sub-environment's picture, as `StudentEnv.render` gives it."""
        if self.render_mode is None:
            return None
        return tuple(render_episode(episode, self.render_mode) for episode in self.episodes)

    def _begin(self, options: Mapping[int, Mapping[str, Any] | None]) -> None:
        starts = []
        for i, own in options.items():
            rng = self._rngs[i]
            assert rng is not None
            starts.append(next_start(self.course, own, rng, self.min_position))
        episodes = begin(starts, self.rules, self.grader, self.tutor)
        for i, episode in zip(options, episodes, strict=True):
            self._episodes[i] = episode

    def _dialogs(self) -> tuple[Dialog, ...]:
        return tuple(episode.dialog() if episode else [] for episode in self._episodes)

    def _infos(self, mask: Any, infos: dict[str, Any] | None = None) -> dict[str, Any]:
        infos = {} if infos is None else infos
        for i in np.flatnonzero(mask).tolist():
            episode = self._episodes[i]
            if episode is not None:
                infos = self._add_info(infos, episode.info(reveal=self.reveal), i)
        return infos


def _reset_mask(mask: Any, num_envs: int) -> Any:
    if mask is None:
        return np.ones(num_envs, dtype=bool)
    if not isinstance(mask, np.ndarray) or mask.shape != (num_envs,) or mask.dtype != np.bool_:
        raise UsageError(f"reset_mask must be a boolean array of shape ({num_envs},), got {mask!r}")
    if not mask.any():
        raise UsageError("reset_mask must name at least one sub-environment")
    return mask
