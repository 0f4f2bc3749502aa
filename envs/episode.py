"""One student episode as a state machine, and the two batch operations on episodes.

`begin` loads logged prefixes and `play` makes one submission in each of many episodes;
both grade everything they need in a single batch, and put the episodes that go on to the tutor,
if there is one, in another. `StudentEnv`, `StudentVectorEnv` and the rollouts are shells over
these two functions, so they cannot disagree.

Covered: prefixes, submissions, ends of episodes, targets, a tutor's messages. Not covered:
spaces, sampling of starts, rendering; what a tutor's message is worth (`envs/tutor.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from novicegym.courses.model import Assignment, Course, Trajectory
from novicegym.dialogs.extract import extract_code, is_give_up
from novicegym.dialogs.serialize import Dialog, DialogFormat, serialize
from novicegym.dialogs.tutoring import tutor_dialog
from novicegym.envs.answers import ask_tutor
from novicegym.envs.partner import Partner
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.grading.verdict import Verdict
from novicegym.rewards.base import Reward, Transition

Stop: TypeAlias = Literal["", "correct", "exit", "horizon", "logged_end"]
"""Why an episode ended: "" while it runs; the submission was fully correct; the student gave
up; the step limit; the logged student made no further submission."""


@dataclass(frozen=True, slots=True)
class EpisodeRules:
    """What holds for every episode of an environment."""

    horizon: int = 5
    """Largest number of submissions the policy may make."""
    format: DialogFormat = field(default_factory=DialogFormat)
    exit_ends_episode: bool = False
    """Whether submitting `exit()` or `quit()` ends the episode as giving up, ungraded."""
    past_log: bool = False
    """Whether the episode goes on where the logged student made no further submission; there is
    no target there."""
    tutor_timeout: float | None = None
    """Seconds that a tutor has for one batch of answers; then all of the batch stay without, and
    it is not asked again until that call has ended. None for as long as it takes."""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise UsageError(f"horizon must be at least 1, got {self.horizon}")
        timeout = self.tutor_timeout
        if timeout is not None and not 0 < timeout < math.inf:
            raise UsageError(f"tutor_timeout must be a number of seconds above 0, got {timeout}")


@dataclass(frozen=True, slots=True)
class Start:
    """Where an episode begins."""

    assignment: Assignment
    student_id: str
    term: str = ""
    trajectory: Trajectory | None = None
    """The logged student; None for free play, where nothing is there to be compared with."""
    position: int = 0
    """Number of logged submissions that have already been made."""

    synthetic: bool = False
    """Whether the student is no human; said wherever the episode is shown."""

    @classmethod
    def at(cls, course: Course, trajectory: Trajectory, position: int) -> Start:
        """Return the start after `position` submissions; UsageError when none would follow."""
        assignment = course.assignment(trajectory.assignment_id)
        last = len(trajectory.submissions) - 1
        if not 0 <= position <= last:
            raise UsageError(
                f"position must be 0 to {last} for student {trajectory.student_id!r} on "
                f"{assignment.id!r} ({last + 1} submissions), got {position}"
            )
        return cls(
            assignment,
            trajectory.student_id,
            trajectory.term or "",
            trajectory,
            position,
            course.synthetic,
        )


@dataclass(slots=True)
class Episode:
    """The state of one episode: the submissions so far with their verdicts."""

    start: Start
    rules: EpisodeRules
    turns: list[tuple[str, Verdict | None]]
    """(code, verdict) of the logged prefix and of the policy; the verdict is None for `exit()`."""
    step: int = 0
    """Submissions the policy has made."""
    stop: Stop = ""
    target_verdict: Verdict | None = None
    """Verdict of `target_code`."""
    messages: list[str] = field(default_factory=list)
    """What a tutor said after each of `turns`; "" for nothing."""
    tutor_failures: list[str] = field(default_factory=list)
    """Why a tutor that was asked after each of `turns` has not answered, on one line, or ""."""
    tutored: bool = False
    """Whether there is a tutor, however silent."""

    def copy(self) -> Episode:
        """Return an episode in the same state that goes on by itself."""
        return replace(
            self,
            turns=[*self.turns],
            messages=[*self.messages],
            tutor_failures=[*self.tutor_failures],
        )

    def submit(self, code: str, verdict: Verdict | None) -> None:
        """Add a submission that nothing has been said about."""
        self.turns.append((code, verdict))
        self.messages.append("")
        self.tutor_failures.append("")

    def say(self, message: str) -> None:
        """Put a tutor's message under the last submission; white space alone says nothing."""
        if not self.turns or self.stop:
            raise UsageError("a tutor speaks after a submission, while the episode runs")
        self.messages[-1] = message.strip()

    def logged_code(self, step: int) -> str | None:
        """What the logged student submitted `step` submissions after the start; None beyond."""
        if self.start.trajectory is None:
            return None
        index = self.start.position + step
        submissions = self.start.trajectory.submissions
        return submissions[index].code if index < len(submissions) else None

    @property
    def target_code(self) -> str | None:
        """What the logged student submitted next; None in free play and at her last one."""
        return self.logged_code(self.step)

    @property
    def terminated(self) -> bool:
        """Whether the episode ended by what the policy did."""
        return self.stop in ("correct", "exit")

    @property
    def truncated(self) -> bool:
        """Whether the episode was cut off."""
        return self.stop in ("horizon", "logged_end")

    def dialog(self, fmt: DialogFormat | None = None) -> Dialog:
        """Return the dialog so far, every call a new object."""
        return serialize(self.start.assignment, self.turns, fmt or self.rules.format, self.messages)

    def tutor_dialog(self) -> Dialog:
        """Return the dialog so far from the tutor's side, every call a new object."""
        return tutor_dialog(
            self.start.assignment,
            self.turns,
            self.messages,
            self.rules.format,
            self.start.position,
        )

    def info(self, *, reveal: bool) -> dict[str, Any]:
        """Return what a policy may know besides the dialog; JSON-able, every call a new dict.

        grade, grade_exact ("3/8"), outcome, case_bits and code are those of the last
        submission ("" and 0 when there is none). tutor_message and tutor_failure, only where there
        is a tutor: what was said after that submission, and why a tutor that was asked has not
        answered, or "". `reveal` adds target_code, target_grade_exact,
        target_outcome and target_case_bits: what the student did next, or None.
        """
        code, verdict = self.turns[-1] if self.turns else ("", None)
        info: dict[str, Any] = {
            "student_id": self.start.student_id,
            "assignment_id": self.start.assignment.id,
            "term": self.start.term,
            "position": self.start.position,
            "step": self.step,
            "code": code,
            "grade": float(verdict.grade) if verdict else 0.0,
            "grade_exact": str(verdict.grade) if verdict else "",
            "outcome": verdict.outcome if verdict else "",
            "case_bits": verdict.case_bits if verdict else "",
            "stop": self.stop,
        }
        if self.tutored:
            info["tutor_message"] = self.messages[-1] if self.messages else ""
            info["tutor_failure"] = self.tutor_failures[-1] if self.tutor_failures else ""
        if reveal:
            target = self.target_verdict
            info["target_code"] = self.target_code
            info["target_grade_exact"] = str(target.grade) if target else None
            info["target_outcome"] = target.outcome if target else None
            info["target_case_bits"] = target.case_bits if target else None
        return info


def begin(
    starts: Sequence[Start],
    rules: EpisodeRules,
    grader: Grader,
    tutor: Partner | None = None,
) -> list[Episode]:
    """Return an episode for each start, its logged prefix and first target graded.

    tutor: asked about the last logged submission of each episode that has one, in one batch.
    """
    requests: list[tuple[Assignment, str]] = []
    for start in starts:
        if start.trajectory is not None:
            logged = start.trajectory.submissions[: start.position + 1]
            requests.extend((start.assignment, submission.code) for submission in logged)
    verdicts = iter(grader.grade_batch(requests))
    episodes = []
    for start in starts:
        episode = Episode(start, rules, turns=[], tutored=tutor is not None)
        if start.trajectory is not None:
            logged = start.trajectory.submissions[: start.position]
            for submission in logged:
                episode.submit(submission.code, next(verdicts))
            episode.target_verdict = next(verdicts)
        episodes.append(episode)
    if tutor is not None:
        _tutor([episode for episode in episodes if episode.turns], tutor)
    return episodes


def play(
    episodes: Sequence[Episode],
    completions: Sequence[str],
    grader: Grader,
    reward: Reward,
    tutor: Partner | None = None,
    *,
    completion_tokens: Sequence[int] | None = None,
) -> list[float]:
    """Make one submission in each running episode, in place; return the rewards, in order.

    A completion may be any text. tutor: asked about the submissions of all episodes that go on,
    in one batch; where it fails it is silent, and `tutor_failures` says why. completion_tokens:
    the completions' lengths, where a reward is to know them. Giving up earns 0. Raises UsageError
    for an ended episode, and for a completion that is no text.
    """
    lengths: Sequence[int | None] = [None] * len(completions)
    if completion_tokens is not None:
        lengths = completion_tokens
    codes = []
    requests: list[tuple[Assignment, str]] = []
    for episode, completion in zip(episodes, completions, strict=True):
        if episode.stop:
            raise UsageError(f"the episode has ended ({episode.stop}); reset before stepping")
        if not isinstance(completion, str):
            raise UsageError(f"an action is text, got {type(completion).__name__}")
        previous = episode.turns[-1][0] if episode.turns else None
        code = extract_code(completion, previous).code
        codes.append(code)
        if not _gives_up(episode, code):
            requests.append((episode.start.assignment, code))
            following = episode.logged_code(episode.step + 1)
            if following is not None:
                requests.append((episode.start.assignment, following))
    verdicts = iter(grader.grade_batch(requests))
    rewards = []
    for episode, completion, code, length in zip(
        episodes, completions, codes, lengths, strict=True
    ):
        if _gives_up(episode, code):
            episode.submit(code, None)
            episode.step += 1
            episode.stop = "exit"
            episode.target_verdict = None
            rewards.append(0.0)
            continue
        verdict = next(verdicts)
        rewards.append(
            reward(
                Transition(
                    code=code,
                    verdict=verdict,
                    target_code=episode.target_code,
                    target_verdict=episode.target_verdict,
                    previous_code=episode.turns[-1][0] if episode.turns else None,
                    completion=completion,
                    completion_tokens=length,
                )
            )
        )
        episode.submit(code, verdict)
        episode.step += 1
        episode.target_verdict = next(verdicts) if episode.target_code is not None else None
        episode.stop = _stop(episode, verdict)
    if tutor is not None:
        _tutor([episode for episode in episodes if not episode.stop], tutor)
    return rewards


def _tutor(episodes: Sequence[Episode], tutor: Partner) -> None:
    """Ask the tutor about the last submissions, which are there; in place."""
    for episode in episodes:
        episode.tutored = True
    for episode, answer in zip(episodes, ask_tutor(tutor, episodes), strict=True):
        episode.say(answer.message)
        episode.tutor_failures[-1] = answer.failure


def _gives_up(episode: Episode, code: str) -> bool:
    return episode.rules.exit_ends_episode and is_give_up(code)


def _stop(episode: Episode, verdict: Verdict) -> Stop:
    if verdict.correct:
        return "correct"
    logged = episode.start.trajectory is not None and not episode.rules.past_log
    if logged and episode.target_code is None:
        return "logged_end"
    if episode.step >= episode.rules.horizon:
        return "horizon"
    return ""
