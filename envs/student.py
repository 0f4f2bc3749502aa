"""`FalconCodeStudent-v0`: the autograder as environment, one student at a time.

An observation is the dialog so far, an action the next submission as any text. Covered:
logged starts, sampled starts, free play without a logged student, a tutor that adds to the
feedback. Not covered: batches (`envs/vector.py`), the tutor's chair (`envs/tutor.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from novicegym.courses.load import load_course
from novicegym.courses.model import Course
from novicegym.courses.splits import take_split
from novicegym.dialogs.serialize import CodeFormat, Dialog, DialogFormat
from novicegym.envs.episode import EpisodeRules, Start, begin, play
from novicegym.envs.partner import PartnerSpec, open_partner
from novicegym.envs.render import render_episode
from novicegym.envs.running import RunsAnEpisode
from novicegym.envs.spaces import CodeSpace, DialogSpace
from novicegym.envs.starts import resolve_start, sample_start
from novicegym.errors import UsageError
from novicegym.grading.feedback import FeedbackLevel
from novicegym.grading.grader import Grader
from novicegym.rewards.base import Reward, make_reward


class StudentEnv(RunsAnEpisode, gymnasium.Env[Dialog, str]):
    """Play a student's episodes against the course's autograder.

    `reset(options=...)` takes {"trajectory": index or (student, assignment), "position": t} to
    load the logged prefix of t submissions, or {"assignment": id} (and "student": id) for free
    play. Without options it samples a trajectory and a position that leave at least two logged
    submissions to play, if the course has any such.

    `terminated`: the submission is fully correct, or the student gave up. `truncated`: the
    horizon, or the logged student made no further submission. Never both.

    With a tutor, the feedback on each submission that does not end the episode, and on the last
    logged one, may be followed by its message, in a fence `tutor` (`dialogs.tutoring`); `info`
    then holds it as tutor_message.
    """

    metadata = {"render_modes": ["ansi", "html"], "render_fps": 1}

    def __init__(
        self,
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
    ) -> None:
        """Build the environment; every argument but `grader` is JSON-able or picklable.

        course: what `load_course` takes, with `course_options`, or a Course.
        split: a selector of `courses.splits`, for example "term:Fall 2024".
        min_position: fewest logged submissions seen at a sampled start.
        past_log: go on where the logged student made no further submission.
        reveal: put the logged counterpart of the next action into `info` (never for an agent).
        tutor: an agent, what makes one for the course, or "package.module:factory" that does.
        tutor_timeout: seconds it has for an answer; where it fails, it says nothing, and after
            a time-out it is not asked again until that call has ended.
        grader: default is one grader shared by all environments of the process.
        """
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
        self.observation_space = DialogSpace()
        self.action_space = CodeSpace()
        self._grader = grader
        self._episode = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Dialog, dict[str, Any]]:
        """Begin an episode and return (dialog, info); see the class for `options`."""
        super().reset(seed=seed)
        start = next_start(self.course, options, self.np_random, self.min_position)
        [self._episode] = begin([start], self.rules, self.grader, self.tutor)
        return self._episode.dialog(), self._episode.info(reveal=self.reveal)

    def step(self, action: str) -> tuple[Dialog, float, bool, bool, dict[str, Any]]:
        """Submit `action`, any text, and return (dialog, reward, terminated, truncated, info)."""
        episode = self.episode
        [reward] = play([episode], [action], self.grader, self.reward, self.tutor)
        info = episode.info(reveal=self.reveal)
        return episode.dialog(), reward, episode.terminated, episode.truncated, info

    def render(self) -> str | None:
        """Return the episode as terminal text ("ansi") or as a self-contained page ("html")."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() needs gym.make(..., render_mode='ansi' or 'html')")
            return None
        return render_episode(self.episode, self.render_mode)


def checked_render_mode(mode: str | None) -> str | None:
    """Return `mode`; UsageError for one that does not exist."""
    modes = StudentEnv.metadata["render_modes"]
    if mode is not None and mode not in modes:
        raise UsageError(f"render_mode must be one of {modes}, got {mode!r}")
    return mode


def open_split(
    course: str | Course, split: str | None, options: Mapping[str, Any] | None
) -> Course:
    """Return the course, loaded if named, cut down to the split."""
    opened = load_course(course, **(options or {})) if isinstance(course, str) else course
    return opened if split is None else take_split(opened, split)


def next_start(
    course: Course,
    options: Mapping[str, Any] | None,
    rng: np.random.Generator,
    min_position: int,
) -> Start:
    """Return the start that `options` names, or a sampled one."""
    if options:
        return resolve_start(course, options)
    return sample_start(course, rng, min_position)
