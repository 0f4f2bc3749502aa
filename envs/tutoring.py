"""Both chairs at once, as PettingZoo's AEC environment; `envs/tutoring_v0.py` is its front.

The student submits, the tutor says something or nothing, the student submits again. After a
logged prefix the tutor is first, as with a tutor in `StudentEnv`: the episodes are the same.

Covered: turn order, both dialogs, both rewards, the ends of episodes. Not covered: several
students of one tutor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from gymnasium.spaces import Dict, Space
from gymnasium.utils import seeding

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import CodeFormat, Dialog, DialogFormat
from novicegym.envs.episode import EpisodeRules, begin, play
from novicegym.envs.render import render_episode
from novicegym.envs.running import RunsAnEpisode
from novicegym.envs.spaces import CodeSpace, DialogSpace
from novicegym.envs.student import next_start, open_split
from novicegym.envs.tutor import check_message, tutor_transition
from novicegym.errors import UsageError
from novicegym.grading.feedback import FeedbackLevel
from novicegym.grading.grader import Grader
from novicegym.grading.known_programs import KnownPrograms
from novicegym.rewards.base import Reward, make_reward
from novicegym.rewards.tutoring import (
    DEFAULT_TUTOR_REWARD,
    TutorReward,
    follow_up,
    make_tutor_reward,
)

try:
    from pettingzoo import AECEnv
except ModuleNotFoundError as error:
    raise UsageError(f"tutoring_v0 needs {error.name}: pip install 'novicegym[tutor]'") from error

Observation: TypeAlias = dict[str, Dialog]
"""What a chair sees: {"dialog": the dialog so far from its side}."""

STUDENT, TUTOR = "student_0", "tutor_0"

RENDER_MODES = ["human", "ansi", "html"]


class TutoringEnv(RunsAnEpisode, AECEnv[str, Observation, str]):  # type: ignore[misc]  # it is untyped
    """A student and a tutor take turns in one episode.

    `reset(options=...)` is that of `StudentEnv`. `student_0` acts with a submission and earns
    `reward`; `tutor_0` acts with a message, white space for nothing, and earns `tutor_reward`
    once a submission has followed. Both end together, and the ending submission gets no message.
    """

    metadata = {
        "name": "tutoring_v0",
        "render_modes": RENDER_MODES,
        "render_fps": 1,
        # The tutor must see the submission it speaks about: turns cannot be taken at once.
        "is_parallelizable": False,
    }

    def __init__(
        self,
        course: str | Course = "cs1",
        *,
        split: str | None = None,
        course_options: Mapping[str, Any] | None = None,
        horizon: int = 5,
        min_position: int = 1,
        reward: str | Mapping[str, float] | Reward = "tiered",
        tutor_reward: str | Mapping[str, float] | TutorReward = DEFAULT_TUTOR_REWARD,
        feedback: FeedbackLevel = "full",
        code_format: CodeFormat = "code",
        exit_ends_episode: bool = False,
        past_log: bool = False,
        grader: Grader | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Build the environment; the arguments it shares with `StudentEnv` mean the same.

        tutor_reward: as `reward` of `TutorEnv`, but for `retention` and `post_solve`.
        render_mode: also "human", which prints the episode after every turn.
        """
        super().__init__()
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise UsageError(f"render_mode must be one of {RENDER_MODES}, got {render_mode!r}")
        self.course = open_split(course, split, course_options)
        self.rules = EpisodeRules(
            horizon=horizon,
            format=DialogFormat(code=code_format, feedback=feedback),
            exit_ends_episode=exit_ends_episode,
            past_log=past_log,
        )
        self.min_position = min_position
        self.reward = make_reward(reward)
        self.tutor_reward = make_tutor_reward(tutor_reward)
        if not follow_up(self.tutor_reward).is_empty:
            raise UsageError(
                "tutor rewards 'retention' and 'post_solve' need more submissions than the "
                "episode's, and here nobody knows who makes them; take gain, solve, speed, leak or "
                "cost, or FalconCodeTutor-v0, which has a student"
            )
        self.render_mode = render_mode
        self.possible_agents = [STUDENT, TUTOR]
        self.agents: list[str] = []
        self.observation_spaces: dict[str, Space[Any]] = {
            agent: Dict({"dialog": DialogSpace()}) for agent in self.possible_agents
        }
        self.action_spaces: dict[str, Space[str]] = {
            agent: CodeSpace() for agent in self.possible_agents
        }
        self._grader = grader
        self.known = KnownPrograms(self.course, grader)
        self._rng: np.random.Generator | None = None
        self._episode = None

    def observation_space(self, agent: str) -> Space[Any]:
        """Return the space of {"dialog": ...}, the same object every time."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[str]:
        """Return the space of texts, the same object every time."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode; the options are those of `StudentEnv`."""
        if seed is not None or self._rng is None:
            self._rng, _ = seeding.np_random(seed)
        # PettingZoo's api_test passes just this to see that reset takes options at all.
        if options == {"options": 1}:
            options = None
        start = next_start(self.course, options, self._rng, self.min_position)
        [self._episode] = begin([start], self.rules, self.grader)
        self._episode.tutored = True
        self.agents = [*self.possible_agents]
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.agent_selection = TUTOR if self._episode.turns else STUDENT
        self._tell()

    def step(self, action: str | None) -> None:
        """Submit or say `action` for the agent whose turn it is; None for one that has ended.

        Raises UsageError for an action that is no text.
        """
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        check_message(action)
        assert action is not None
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        episode = self.episode
        if agent == TUTOR:
            episode.say(action)
            self.agent_selection = STUDENT
        else:
            answered = bool(episode.turns)
            [self.rewards[STUDENT]] = play([episode], [action], self.grader, self.reward)
            if answered:
                self.rewards[TUTOR] = self.tutor_reward(tutor_transition(episode, self.known))
            self.agent_selection = TUTOR
        self._accumulate_rewards()
        self._tell()

    def observe(self, agent: str) -> Observation:
        """Return the dialog so far from the agent's side, every call a new object."""
        episode = self.episode
        return {"dialog": episode.dialog() if agent == STUDENT else episode.tutor_dialog()}

    def render(self) -> str | None:
        """Return the episode as text ("ansi") or a page ("html"); "human" prints the text."""
        if self.render_mode is None:
            raise UsageError("render() needs tutoring_v0.env(render_mode='ansi')")
        if self.render_mode == "human":
            print(render_episode(self.episode, "ansi"))
            return None
        return render_episode(self.episode, self.render_mode)

    def close(self) -> None:
        """Nothing to release: the grader is the process's or the caller's."""

    def _tell(self) -> None:
        """Bring up to date what both agents may read."""
        episode = self.episode
        self.terminations = dict.fromkeys(self.agents, episode.terminated)
        self.truncations = dict.fromkeys(self.agents, episode.truncated)
        self.infos = {agent: episode.info(reveal=False) for agent in self.agents}
        if self.render_mode == "human":
            self.render()
