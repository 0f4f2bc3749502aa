"""Some trajectories played by a policy: every start of the protocol, to its end.

`play_trajectories` is what all ways to run rollouts share. It keeps episodes in play and asks a
desk for their next submissions: an episode whose answer is there is graded and asked on, whatever
the others of its batch are waiting for. What is recorded depends on the policy's answers alone, and
where there is a tutor, on its messages.

Covered: the protocols, the order of asking and grading, the records. Not covered: who answers
(`LocalDesk` here, model replicas in `novicegym.eval.distributed`), shards and files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from zlib import crc32

import numpy as np

from novicegym.agents.base import Agent
from novicegym.courses.model import Course, Trajectory
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.envs.episode import Episode, EpisodeRules, Start, begin, play
from novicegym.envs.starts import all_starts
from novicegym.errors import UsageError, unknown_name
from novicegym.grading.grader import Grader
from novicegym.grading.regrade import grade_trajectories, until_correct
from novicegym.grading.verdict import Verdict
from novicegym.rewards.base import make_reward


@dataclass(frozen=True, slots=True)
class RolloutProtocol:
    """From where, how far and until when a policy is rolled out."""

    name: str
    min_position: int
    """Smallest number of logged submissions the policy has seen."""
    rules: EpisodeRules = field(default_factory=EpisodeRules)
    one_start: bool = False
    """Whether each trajectory has one start, drawn by the run's seed, in place of all."""

    def starts(self, course: Course, trajectory: Trajectory, seed: int) -> list[Start]:
        """Return where to begin in a trajectory that ends with its first correct submission.

        The start drawn depends on the seed and the trajectory's key alone.
        """
        found = list(all_starts(course, trajectory, self.min_position))
        if not self.one_start or not found:
            return found
        key = [crc32(name.encode("utf-8", "surrogatepass")) for name in trajectory.key]
        rng = np.random.default_rng([_STARTS, seed, *key])
        return [found[int(rng.integers(len(found)))]]


_STARTS = 6
"""Stream of the seed: an agent draws from others with the same seed and ids."""

PROTOCOLS = {
    # "all possible starting positions t > 2", section 5.3
    "paper": RolloutProtocol("paper", min_position=3),
    # the released code: at least one submission seen, exit() stops the model
    "published": RolloutProtocol(
        "published", min_position=1, rules=EpisodeRules(exit_ends_episode=True)
    ),
    # what would become of the student: one start each, and on where her log ends
    "trial": RolloutProtocol(
        "trial",
        min_position=1,
        rules=EpisodeRules(horizon=10, exit_ends_episode=True, past_log=True),
        one_start=True,
    ),
}


def make_protocol(name: str, fmt: DialogFormat | None = None) -> RolloutProtocol:
    """Return the named protocol, with dialogs in the given format."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    protocol = PROTOCOLS[name]
    return protocol if fmt is None else replace(protocol, rules=replace(protocol.rules, format=fmt))


class Desk(Protocol):
    """Where episodes wait for what the policy submits."""

    def ask(self, tickets: Sequence[int], episodes: Sequence[Episode]) -> None:
        """Hand in the states of some episodes; the tickets say which answer is whose."""
        ...

    def answers(self) -> list[tuple[int, str]]:
        """Wait until some completions are there; return them with their tickets."""
        ...


class LocalDesk:
    """Asks an agent of this process, a batch at a time."""

    def __init__(self, agent: Agent, batch_size: int) -> None:
        self._agent, self._batch_size = agent, batch_size
        self._waiting: deque[tuple[int, Episode]] = deque()

    def ask(self, tickets: Sequence[int], episodes: Sequence[Episode]) -> None:
        self._waiting.extend(zip(tickets, episodes, strict=True))

    def answers(self) -> list[tuple[int, str]]:
        size = min(self._batch_size, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(size)]
        dialogs, infos = states([episode for _, episode in batch])
        completions = act(self._agent, dialogs, infos)
        return [(ticket, said) for (ticket, _), said in zip(batch, completions, strict=True)]


def states(episodes: Sequence[Episode]) -> tuple[list[Dialog], list[dict[str, Any]]]:
    """Return what a policy is asked with: the dialogs and the infos of some episodes."""
    return (
        [episode.dialog() for episode in episodes],
        [episode.info(reveal=False) for episode in episodes],
    )


def act(agent: Agent, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the agent's completions; UsageError where they are not one text a dialog."""
    completions = agent.act(dialogs, infos)
    if not isinstance(completions, list) or not all(isinstance(c, str) for c in completions):
        raise UsageError(f"agent {agent.name!r} must return a list of str, got {completions!r:.80}")
    if len(completions) != len(dialogs):
        raise UsageError(
            f"agent {agent.name!r} gave {len(completions)} completions for {len(dialogs)} dialogs"
        )
    return completions


def play_trajectories(
    course: Course,
    trajectories: Sequence[Trajectory],
    desk: Desk,
    protocol: RolloutProtocol,
    grader: Grader,
    *,
    run: Mapping[str, Any],
    tutor: Agent | None = None,
) -> list[dict[str, Any]]:
    """Return the records of every episode that starts in `trajectories`, in their order.

    course: has their assignments. run: what all records of the run say of it. tutor: speaks after
    every submission that does not end an episode; the records then hold its messages.
    """
    graded = grade_trajectories(course, trajectories, grader)
    logged = {one.key: verdicts for one, verdicts in zip(trajectories, graded, strict=True)}
    starts = [
        start
        for trajectory in trajectories
        for start in protocol.starts(
            course, until_correct(trajectory, logged[trajectory.key]), run["seed"]
        )
    ]
    reward = make_reward("tiered")
    played = [_Played(episode, run) for episode in begin(starts, protocol.rules, grader, tutor)]
    going = [ticket for ticket, one in enumerate(played) if not one.episode.stop]
    asked = len(going)
    desk.ask(going, [played[ticket].episode for ticket in going])
    while asked:
        answered = desk.answers()
        batch = [played[ticket] for ticket, _ in answered]
        completions = [completion for _, completion in answered]
        rewards = play([one.episode for one in batch], completions, grader, reward, tutor)
        for one, completion, value in zip(batch, completions, rewards, strict=True):
            one.completions.append(completion)
            one.rewards.append(value)
        going = [ticket for ticket, _ in answered if not played[ticket].episode.stop]
        asked += len(going) - len(answered)
        if going:
            desk.ask(going, [played[ticket].episode for ticket in going])
    return [row for one in played for row in one.rows(logged)]


@dataclass(slots=True)
class _Played:
    """An episode with what the policy said and earned in it."""

    episode: Episode
    run: Mapping[str, Any]
    completions: list[str] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def rows(self, logged: dict[tuple[str, str], list[Verdict]]) -> list[dict[str, Any]]:
        """Return a record for each step within the horizon that has a logged counterpart or was
        played."""
        episode, start = self.episode, self.episode.start
        assert start.trajectory is not None
        submissions = start.trajectory.submissions
        verdicts = logged[start.trajectory.key]
        with_counterpart = min(episode.rules.horizon, len(submissions) - start.position)
        final = verdicts[len(submissions) - 1].grade
        rows = []
        for step in range(1, max(with_counterpart, episode.step) + 1):
            row = {
                **self.run,
                "student_id": start.student_id,
                "assignment_id": start.assignment.id,
                "term": start.term,
                "position": start.position,
                "step": step,
                "logged_length": len(submissions),
                "final_logged_grade_num": final.numerator,
                "final_logged_grade_den": final.denominator,
            }
            if step <= with_counterpart:
                target = verdicts[start.position + step - 1]
                row["logged_code"] = submissions[start.position + step - 1].code
                row["logged_grade_num"] = target.grade.numerator
                row["logged_grade_den"] = target.grade.denominator
                row["logged_outcome"] = target.outcome
                row["logged_case_bits"] = target.case_bits
            code, verdict = (
                episode.turns[start.position + step - 1] if step <= episode.step else (None, None)
            )
            if step <= episode.step:
                row["completion"] = self.completions[step - 1]
                row["reward"] = self.rewards[step - 1]
                row["stop"] = episode.stop if step == episode.step else None
            if episode.tutored and step <= episode.step:
                before = start.position + step - 2  # the submission that the message is about
                row["message"] = episode.messages[before] if before >= 0 else ""
                row["tutor_failure"] = episode.tutor_failures[before] if before >= 0 else ""
            if verdict is not None:
                row["generated_code"] = code
                row["grade_num"] = verdict.grade.numerator
                row["grade_den"] = verdict.grade.denominator
                row["outcome"] = verdict.outcome
                row["case_bits"] = verdict.case_bits
            rows.append(row)
        return rows
