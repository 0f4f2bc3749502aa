"""The two chairs that a policy can learn in: what it is asked there, and what its answers earn.

`dapo.py` trains from either. From the student's a prompt is her dialog, a completion a submission.
From the tutor's a prompt is the tutor's dialog of the same logged state and a completion a message;
a student who does not learn reads it, and her next submission is graded.

Decisions of the tutor's chair:
- Common random numbers. All messages of a batch are put to one student: in a group she makes the
  same draws whatever is said to her, so the group differs by the messages alone.
- Each batch has another student, where hers are random (`with_seed`): a tutor that met the same
  luck in each pass would learn the luck.
- What a model said becomes a message as `agents.tutors.language_model` makes it one.

Covered: any student that listens, several messages an episode, and what the student does after it
where the reward asks for that (`envs.afterwards`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Protocol

from novicegym.agents.base import Agent
from novicegym.agents.tutors.language_model import read_message, readable
from novicegym.courses.model import Assignment, Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, open_dialog
from novicegym.dialogs.tutoring import tutor_dialog
from novicegym.envs.afterwards import Afterwards, play_afterwards
from novicegym.envs.episode import Episode, EpisodeRules, Start, begin, play
from novicegym.envs.partner import completions_of, require_listening
from novicegym.envs.tutor import tutor_transition
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.grading.known_programs import KnownPrograms
from novicegym.rewards.base import NoReward, Reward, Transition, make_reward
from novicegym.rewards.tiered import TieredReward
from novicegym.rewards.tutoring import (
    TutorReward,
    TutorTransition,
    follow_up,
    given_away,
    make_tutor_reward,
    solve,
)
from novicegym.rewards.tutoring import gain as grade_gain

_TIERS = {"same_program": 2.0, "same_grade": 1.0, "other": 0.0, "no_compile": -1.0}


class Chair(Protocol):
    """Where the policy sits in an episode."""

    def open_batch(self, seed: int) -> None:
        """Forget what was seen; all that is random in the other chair comes of `seed` now."""
        ...

    def opening(self, assignment: Assignment) -> Dialog:
        """Return what every prompt for the assignment begins with."""
        ...

    def begin(self, starts: Sequence[Start]) -> list[Episode]:
        """Return an episode for each start."""
        ...

    def dialog(self, episode: Episode) -> Dialog:
        """Return what the policy is asked, every call a new object."""
        ...

    def play(
        self, episodes: Sequence[Episode], completions: Sequence[str], tokens: Sequence[int]
    ) -> list[float]:
        """Take one completion in each running episode, in place; return what they earn.

        tokens: the completions' lengths.
        """
        ...

    def seen(self) -> dict[str, float]:
        """Return what to log of the completions of this batch so far."""
        ...


def read_reward(name: str, longest: int) -> Reward:
    """Return the student's reward of that name; longest: tokens of a completion, at most."""
    # The released code's reward has a term for length, by the longest there can be.
    return make_reward(f"published:{longest}" if name == "published" else name)


class StudentChair:
    """The policy submits programs, and a reward object of the environment pays them."""

    def __init__(self, reward: Reward, rules: EpisodeRules, grader: Grader) -> None:
        self.reward = reward
        self._rules, self._grader = rules, grader
        self._paid = _WithTier(reward)

    def open_batch(self, seed: int) -> None:
        """Forget what was seen."""
        self._paid.tiers.clear()

    def opening(self, assignment: Assignment) -> Dialog:
        """Return system prompt and assignment."""
        return open_dialog(assignment, self._rules.format)

    def begin(self, starts: Sequence[Start]) -> list[Episode]:
        """Return an episode for each start."""
        return begin(starts, self._rules, self._grader)

    def dialog(self, episode: Episode) -> Dialog:
        """Return the student's side."""
        return episode.dialog()

    def play(
        self, episodes: Sequence[Episode], completions: Sequence[str], tokens: Sequence[int]
    ) -> list[float]:
        """Submit a program in each."""
        return play(episodes, completions, self._grader, self._paid, completion_tokens=tokens)

    def seen(self) -> dict[str, float]:
        """Return the share of submissions in each tier."""
        tiers = self._paid.tiers
        return {f"tier/{name}": tiers.count(tier) / len(tiers) for name, tier in _TIERS.items()}


class _WithTier:
    """A reward that keeps in which tier each of its transitions was, whatever it paid."""

    def __init__(self, reward: Reward) -> None:
        self._reward = reward
        self._tier = reward if isinstance(reward, TieredReward) else TieredReward()
        self.tiers: list[float] = []

    @property
    def name(self) -> str:
        return self._reward.name

    @property
    def range(self) -> tuple[float, float]:
        return self._reward.range

    def __call__(self, transition: Transition) -> float:
        self.tiers.append(self._tier(transition))
        return self._reward(transition)


class TutorChair:
    """The policy says messages to a student who does not learn from the training."""

    def __init__(
        self,
        student: Agent,
        reward: TutorReward,
        rules: EpisodeRules,
        grader: Grader,
        course: Course,
        *,
        silence: str = "",
    ) -> None:
        """student: must listen. course: has the correct programs of other students, in which leaks
        are looked for; they are graded on first use of an assignment. silence: how prompts show
        that the tutor said nothing.
        """
        require_listening(student)
        self.reward = reward
        self._frozen = self._student = student
        self._rules, self._grader, self._silence = rules, grader, silence
        self._course, self._known = course, KnownPrograms(course, grader)
        self._said: list[TutorTransition] = []

    def open_batch(self, seed: int) -> None:
        """Forget what was seen; sit another student down, where hers are random."""
        self._said.clear()
        with_seed = getattr(self._frozen, "with_seed", None)
        self._student = self._frozen if with_seed is None else with_seed(seed)

    def opening(self, assignment: Assignment) -> Dialog:
        """Return system prompt and assignment."""
        return tutor_dialog(assignment, [], [], self._rules.format, 0)

    def begin(self, starts: Sequence[Start]) -> list[Episode]:
        """Return an episode for each start."""
        episodes = begin(starts, self._rules, self._grader)
        for episode in episodes:
            episode.tutored = True
        return episodes

    def dialog(self, episode: Episode) -> Dialog:
        """Return the tutor's side."""
        return readable(episode.tutor_dialog(), self._silence)

    def play(
        self, episodes: Sequence[Episode], completions: Sequence[str], tokens: Sequence[int]
    ) -> list[float]:
        """Say a message in each, and let the student submit; as `TutorEnv.step` does."""
        for episode, completion in zip(episodes, completions, strict=True):
            episode.say(read_message(completion))
        programs = completions_of(
            self._student,
            [episode.dialog() for episode in episodes],
            [episode.info(reveal=False) for episode in episodes],
        )
        play(episodes, programs, self._grader, NoReward())
        ended = [episode for episode in episodes if episode.stop]
        wanted = follow_up(self.reward)
        after = iter(play_afterwards(ended, self._student, self._course, self._grader, wanted))
        said = [
            tutor_transition(
                episode,
                self._known,
                next(after) if episode.stop else Afterwards(),
                message_tokens=length,
            )
            for episode, length in zip(episodes, tokens, strict=True)
        ]
        self._said += said
        return [self.reward(transition) for transition in said]

    def seen(self) -> dict[str, float]:
        """Return means over messages: leak, share that leaks or is empty, gain, share solved."""
        leaks = [-given_away(one) for one in self._said]
        return {
            "leak": fmean(leaks),
            "leaking": fmean(leak > 0 for leak in leaks),
            "silent": fmean(not one.message for one in self._said),
            "gain": fmean(grade_gain(one) for one in self._said),
            "solved": fmean(solve(one) for one in self._said),
        }


def tutor_rules(horizon: int, fmt: DialogFormat) -> EpisodeRules:
    """Return the rules for a tutor's episodes: the log says nothing of a student who was helped."""
    return EpisodeRules(horizon=horizon, format=fmt, past_log=True)


def read_tutor_reward(text: str) -> TutorReward:
    """Return the tutor reward that a text names: a name, or names and weights as JSON.

    Raises UsageError for what is neither.
    """
    spec: str | Mapping[str, float] = text
    if text.lstrip().startswith("{"):
        try:
            spec = json.loads(text)
        except ValueError as error:
            raise UsageError(f"the tutor reward is no JSON: {error}; got {text!r}") from None
    return make_tutor_reward(spec)
