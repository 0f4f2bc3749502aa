"""One student episode as a state machine, and the two batch operations on episodes.

`begin` loads logged prefixes and `play` makes one submission in each of many episodes;
both grade everything they need in a single batch. `StudentEnv`, `StudentVectorEnv` and the
rollouts are shells over these two functions, so they cannot disagree.

Covered: prefixes, submissions, ends of episodes, targets. Not covered: spaces, sampling of
starts, rendering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from novicegym.courses.model import Assignment, Course, Trajectory
from novicegym.dialogs.extract import extract_code, is_give_up
from novicegym.dialogs.serialize import Dialog, DialogFormat, serialize
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

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise UsageError(f"horizon must be at least 1, got {self.horizon}")


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
        return serialize(self.start.assignment, self.turns, fmt or self.rules.format)

    def info(self, *, reveal: bool) -> dict[str, Any]:
        """Return what a policy may know besides the dialog; JSON-able, every call a new dict.

        grade, grade_exact ("3/8"), outcome, case_bits and code are those of the last
        submission ("" and 0 when there is none). `reveal` adds target_code, target_grade_exact,
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
        if reveal:
            target = self.target_verdict
            info["target_code"] = self.target_code
            info["target_grade_exact"] = str(target.grade) if target else None
            info["target_outcome"] = target.outcome if target else None
            info["target_case_bits"] = target.case_bits if target else None
        return info


def begin(starts: Sequence[Start], rules: EpisodeRules, grader: Grader) -> list[Episode]:
    """Return an episode for each start, its logged prefix and first target graded."""
    requests: list[tuple[Assignment, str]] = []
    for start in starts:
        if start.trajectory is not None:
            logged = start.trajectory.submissions[: start.position + 1]
            requests.extend((start.assignment, submission.code) for submission in logged)
    verdicts = iter(grader.grade_batch(requests))
    episodes = []
    for start in starts:
        episode = Episode(start, rules, turns=[])
        if start.trajectory is not None:
            logged = start.trajectory.submissions[: start.position]
            episode.turns.extend((submission.code, next(verdicts)) for submission in logged)
            episode.target_verdict = next(verdicts)
        episodes.append(episode)
    return episodes


def play(
    episodes: Sequence[Episode],
    completions: Sequence[str],
    grader: Grader,
    reward: Reward,
    *,
    completion_tokens: Sequence[int] | None = None,
) -> list[float]:
    """Make one submission in each running episode, in place; return the rewards, in order.

    A completion may be any text. completion_tokens: the completions' lengths, where a reward is
    to know them. Giving up earns 0. Raises UsageError for an ended episode, and for a completion
    that is no text.
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
            episode.turns.append((code, None))
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
        episode.turns.append((code, verdict))
        episode.step += 1
        episode.target_verdict = next(verdicts) if episode.target_code is not None else None
        episode.stop = _stop(episode, verdict)
    return rewards


def _gives_up(episode: Episode, code: str) -> bool:
    return episode.rules.exit_ends_episode and is_give_up(code)


def _stop(episode: Episode, verdict: Verdict) -> Stop:
    if verdict.correct:
        return "correct"
    if episode.start.trajectory is not None and episode.target_code is None:
        return "logged_end"
    if episode.step >= episode.rules.horizon:
        return "horizon"
    return ""
