"""Some trajectories played by a policy: every start of the protocol, to its end.

`play_trajectories` is what all ways to run rollouts share. It keeps episodes in play and asks a
desk for their next submissions: an episode whose answer is there is graded and asked on, whatever
the others of its batch are waiting for. What is recorded depends on the policy's answers alone.

Covered: the protocols, the order of asking and grading, the records. Not covered: who answers
(`LocalDesk` here, model replicas in `novicegym.eval.distributed`), shards and files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from novicegym.agents.base import Agent
from novicegym.courses.model import Course, Trajectory
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.envs.episode import Episode, EpisodeRules, begin, play
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


PROTOCOLS = {
    # "all possible starting positions t > 2", section 5.3
    "paper": RolloutProtocol("paper", min_position=3),
    # the released code: at least one submission seen, exit() stops the model
    "published": RolloutProtocol(
        "published", min_position=1, rules=EpisodeRules(exit_ends_episode=True)
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
) -> list[dict[str, Any]]:
    """Return the records of every episode that starts in `trajectories`, in their order.

    course: has their assignments. run: what all records of the run say of it.
    """
    graded = grade_trajectories(course, trajectories, grader)
    logged = {one.key: verdicts for one, verdicts in zip(trajectories, graded, strict=True)}
    starts = [
        start
        for trajectory in trajectories
        for start in all_starts(
            course, until_correct(trajectory, logged[trajectory.key]), protocol.min_position
        )
    ]
    reward = make_reward("tiered")
    played = [_Played(episode, run) for episode in begin(starts, protocol.rules, grader)]
    going = [ticket for ticket, one in enumerate(played) if not one.episode.stop]
    asked = len(going)
    desk.ask(going, [played[ticket].episode for ticket in going])
    while asked:
        answered = desk.answers()
        batch = [played[ticket] for ticket, _ in answered]
        completions = [completion for _, completion in answered]
        rewards = play([one.episode for one in batch], completions, grader, reward)
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
        """Return a record for each step that has a logged counterpart within the horizon."""
        episode, start = self.episode, self.episode.start
        assert start.trajectory is not None
        submissions = start.trajectory.submissions
        verdicts = logged[start.trajectory.key]
        steps = min(episode.rules.horizon, len(submissions) - start.position)
        final = verdicts[len(submissions) - 1].grade
        rows = []
        for step in range(1, steps + 1):
            target = verdicts[start.position + step - 1]
            row = {
                **self.run,
                "student_id": start.student_id,
                "assignment_id": start.assignment.id,
                "term": start.term,
                "position": start.position,
                "step": step,
                "logged_code": submissions[start.position + step - 1].code,
                "logged_grade_num": target.grade.numerator,
                "logged_grade_den": target.grade.denominator,
                "logged_outcome": target.outcome,
                "logged_case_bits": target.case_bits,
                "logged_length": len(submissions),
                "final_logged_grade_num": final.numerator,
                "final_logged_grade_den": final.denominator,
            }
            code, verdict = (
                episode.turns[start.position + step - 1] if step <= episode.step else (None, None)
            )
            if step <= episode.step:
                row["completion"] = self.completions[step - 1]
                row["reward"] = self.rewards[step - 1]
                row["stop"] = episode.stop if step == episode.step else None
            if verdict is not None:
                row["generated_code"] = code
                row["grade_num"] = verdict.grade.numerator
                row["grade_den"] = verdict.grade.denominator
                row["outcome"] = verdict.outcome
                row["case_bits"] = verdict.case_bits
            rows.append(row)
        return rows
