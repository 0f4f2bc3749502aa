"""`FalconCodeTutor-v0`: the same episode from the tutor's chair, one student at a time.

An observation is the dialog from the tutor's side (`dialogs.tutoring.tutor_dialog`), an action a
message as any text; white space says nothing. The message goes to the student, who submits
again; then the tutor is asked about that submission.

Covered: logged starts, sampled starts, free play, any agent as the student. Not covered:
batches, for which `envs.episode.begin` and `play` are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import CodeFormat, Dialog, DialogFormat, assignment_text
from novicegym.envs.afterwards import Afterwards, play_afterwards
from novicegym.envs.episode import Episode, EpisodeRules, begin, play
from novicegym.envs.partner import (
    PartnerSpec,
    completions_of,
    open_partner,
    require_listening,
)
from novicegym.envs.render import render_episode
from novicegym.envs.running import RunsAnEpisode
from novicegym.envs.spaces import CodeSpace, DialogSpace
from novicegym.envs.student import StudentEnv, checked_render_mode, next_start, open_split
from novicegym.errors import UsageError
from novicegym.grading.feedback import FeedbackLevel
from novicegym.grading.grader import Grader
from novicegym.grading.known_programs import KnownPrograms
from novicegym.rewards.base import NoReward
from novicegym.rewards.said_code import shown_programs
from novicegym.rewards.tutoring import (
    DEFAULT_TUTOR_REWARD,
    TutorReward,
    TutorTransition,
    follow_up,
    make_tutor_reward,
)

DEFAULT_STUDENT = "novicegym.agents.novice:NoviceAgent"


class TutorEnv(RunsAnEpisode, gymnasium.Env[Dialog, str]):
    """Tutor a student through an episode; `reset` takes the options of `StudentEnv`.

    The tutor is first asked about the last logged submission. Where there is none (position 0,
    free play), the student has submitted once when `reset` returns; if that is right at once,
    the first step ends the episode, and nobody reads the message.

    `terminated`: the student's submission is fully correct, or she gave up. `truncated`: the
    horizon, or the end of the log unless `past_log`. Never both.
    """

    metadata = {**StudentEnv.metadata}

    def __init__(
        self,
        course: str | Course = "cs1",
        *,
        student: PartnerSpec = DEFAULT_STUDENT,
        split: str | None = None,
        course_options: Mapping[str, Any] | None = None,
        horizon: int = 5,
        min_position: int = 1,
        reward: str | Mapping[str, float] | TutorReward = DEFAULT_TUTOR_REWARD,
        feedback: FeedbackLevel = "full",
        code_format: CodeFormat = "code",
        exit_ends_episode: bool = False,
        past_log: bool = False,
        grader: Grader | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Build the environment; the arguments it shares with `StudentEnv` mean the same.

        student: an agent that listens, what makes one for the course, or
        "package.module:factory" that does; by default the simulated beginner.
        reward: what `make_tutor_reward` takes. For `retention` and `post_solve` the student
        submits more when the episode has ended (`envs.afterwards`). Leaks are looked for in the
        assignment's solutions and in what other students of the course or split finished with
        (`self.known`).
        """
        self.course = open_split(course, split, course_options)
        self.rules = EpisodeRules(
            horizon=horizon,
            format=DialogFormat(code=code_format, feedback=feedback),
            exit_ends_episode=exit_ends_episode,
            past_log=past_log,
        )
        self.student = open_partner(student, self.course, "student")
        require_listening(self.student)
        self.min_position = min_position
        self.reward = make_tutor_reward(reward)
        self.render_mode = checked_render_mode(render_mode)
        self.observation_space = DialogSpace()
        self.action_space = CodeSpace()
        self._grader = grader
        self.known = KnownPrograms(self.course, grader)
        self._episode = None
        self._ended = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Dialog, dict[str, Any]]:
        """Begin an episode and return (dialog, info), both from the tutor's side.

        A student that has `with_seed` (the novice, a local language model) gets a new seed, drawn
        from this environment's: a tutor cannot learn her luck by heart, and the same seed is
        still the same episode. What seed she came with makes no difference.
        """
        super().reset(seed=seed)
        start = next_start(self.course, options, self.np_random, self.min_position)
        with_seed = getattr(self.student, "with_seed", None)
        if with_seed is not None:
            self.student = with_seed(int(self.np_random.integers(2**31)))
        [episode] = begin([start], self.rules, self.grader)
        episode.tutored = True
        self._episode, self._ended = episode, False
        if not episode.turns:
            self._student_submits()
        return episode.tutor_dialog(), episode.info(reveal=False)

    def step(self, action: str) -> tuple[Dialog, float, bool, bool, dict[str, Any]]:
        """Say `action` to the student; return (dialog, reward, terminated, truncated, info).

        The dialog ends with what the student submitted next. Raises UsageError for an action
        that is no text and for an episode that has ended.
        """
        episode = self.episode
        if self._ended:
            raise UsageError(f"the episode has ended ({episode.stop}); reset before stepping")
        check_message(action)
        reward = 0.0
        if not episode.stop:
            episode.say(action)
            self._student_submits()
            reward = self.reward(tutor_transition(episode, self.known, self._afterwards()))
        self._ended = bool(episode.stop)
        info = episode.info(reveal=False)
        return episode.tutor_dialog(), reward, episode.terminated, episode.truncated, info

    def render(self) -> str | None:
        """Return the episode as terminal text ("ansi") or as a self-contained page ("html")."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() needs gym.make(..., render_mode='ansi' or 'html')")
            return None
        return render_episode(self.episode, self.render_mode)

    def _student_submits(self) -> None:
        episode = self.episode
        said = completions_of(self.student, [episode.dialog()], [episode.info(reveal=False)])
        play([episode], said, self.grader, NoReward())

    def _afterwards(self) -> Afterwards:
        wanted = follow_up(self.reward)
        if wanted.is_empty or not self.episode.stop:
            return Afterwards()
        [after] = play_afterwards([self.episode], self.student, self.course, self.grader, wanted)
        return after


def check_message(action: object) -> None:
    """Raise UsageError for an action of the tutor's that is no text."""
    if not isinstance(action, str):
        raise UsageError(f"an action is text, got {type(action).__name__}")


def tutor_transition(
    episode: Episode,
    known: KnownPrograms,
    after: Afterwards = Afterwards(),  # noqa: B008
    *,
    message_tokens: int | None = None,
) -> TutorTransition:
    """Return what a tutor's reward knows of the last message that a submission has followed.

    A message of "" counts as one. known: correct programs of the course; where nothing is said,
    nothing can leak, and only the assignment's own are taken. after: what became of the student, of
    an episode that has ended. message_tokens: length of the message, where a reward is to know it.
    """
    (code_before, verdict_before), (code_after, verdict_after) = episode.turns[-2:]
    assert verdict_before is not None  # only the last submission may have none
    start, message = episode.start, episode.messages[-2]
    return TutorTransition(
        message=message,
        message_tokens=message_tokens,
        code_before=code_before,
        verdict_before=verdict_before,
        code_after=code_after,
        verdict_after=verdict_after,
        solutions=known.for_student(
            start.assignment, start.student_id, code_before, shown_programs(message)
        )
        if message
        else start.assignment.solutions,
        prompt=assignment_text(start.assignment),
        step=episode.step,
        horizon=episode.rules.horizon,
        done=bool(episode.stop),
        retention_grade=after.retention_grade,
        post_grades=after.post_grades,
    )
