"""Rollouts: the paper's evaluation is nothing but episodes from every logged position.

For every trajectory and every position t the protocol allows, the policy plays up to
`horizon` steps from the logged prefix (paper, section 5.3). A student is done with her first
fully correct submission: what she submitted after it is neither a start nor a counterpart, or
the logged student herself would not be covered. Work is split into shards of consecutive
trajectories, written as they finish: a killed run, started again with the same command, goes on
where it was and ends with the same bytes.

Covered: one process, batched policies, resumption. Not covered: several processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from novicegym.agents.base import Agent
from novicegym.courses.fingerprint import course_fingerprint
from novicegym.courses.model import Course, Trajectory
from novicegym.dialogs.serialize import DialogFormat
from novicegym.envs.episode import Episode, EpisodeRules, begin, play
from novicegym.envs.starts import all_starts
from novicegym.errors import UsageError, unknown_name
from novicegym.eval.records import shard_path, write_shard
from novicegym.grading.grader import GRADER_VERSION, Grader, shared_grader
from novicegym.grading.regrade import grade_trajectories, until_correct
from novicegym.grading.verdict import Verdict
from novicegym.rewards.base import make_reward
from novicegym.runs import open_run, run_versions

SHARD_TRAJECTORIES = 32
"""Trajectories in a shard: what a killed run loses at most."""


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


def rollout(
    course: Course,
    agent: Agent,
    out: Path,
    *,
    protocol: RolloutProtocol = PROTOCOLS["paper"],
    seed: int = 0,
    source: Mapping[str, object] | None = None,
    batch_size: int = 256,
    grader: Grader | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Play `agent` from every start of `protocol` and write the records to `out`.

    seed: recorded; the agent was built with it. source: how the course was named and cut, so
    that a run can be told from another. batch_size: most dialogs given to the agent at once.
    progress: called with (trajectories done, trajectories in all). Returns `out`.
    Raises UsageError for a batch size below 1, a seed that does not fit its column, and a
    folder that holds another run.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, got {batch_size}")
    if not 0 <= seed < 1 << 63:
        raise UsageError(f"seed must be at least 0 and below 2**63, got {seed}")
    grader = grader or shared_grader()
    total = len(course.trajectories)
    shards = -(-total // SHARD_TRAJECTORIES)
    config = {
        "kind": "rollout",
        "course": course.name,
        "source": dict(source or {}),
        "synthetic": course.synthetic,
        "fingerprint": course_fingerprint(course),
        "agent": agent.name,
        "seed": seed,
        "protocol": {"name": protocol.name, "min_position": protocol.min_position}
        | asdict(protocol.rules),
        "reward": "tiered",
        "trajectories": total,
        "shards": shards,
        "versions": run_versions("gymnasium", "numpy", "pyarrow") | {"grader": GRADER_VERSION},
    }
    open_run(out, config)
    for index in range(shards):
        first = index * SHARD_TRAJECTORIES
        if not shard_path(out, index).exists():
            chunk = course.trajectories[first : first + SHARD_TRAJECTORIES]
            write_shard(
                out, index, _play_all(course, chunk, agent, protocol, seed, batch_size, grader)
            )
        if progress is not None:
            progress(min(first + SHARD_TRAJECTORIES, total), total)
    return out


def _play_all(
    course: Course,
    trajectories: Sequence[Trajectory],
    agent: Agent,
    protocol: RolloutProtocol,
    seed: int,
    batch_size: int,
    grader: Grader,
) -> list[dict[str, Any]]:
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
    played = [
        _Played(
            episode,
            run={
                "course": course.name,
                "synthetic": course.synthetic,
                "agent": agent.name,
                "protocol": protocol.name,
                "seed": seed,
            },
        )
        for episode in begin(starts, protocol.rules, grader)
    ]
    while running := [one for one in played if not one.episode.stop]:
        for first in range(0, len(running), batch_size):
            batch = running[first : first + batch_size]
            episodes = [one.episode for one in batch]
            completions = agent.act(
                [episode.dialog() for episode in episodes],
                [episode.info(reveal=False) for episode in episodes],
            )
            _check(agent, completions, len(batch))
            rewards = play(episodes, completions, grader, reward)
            for one, completion, value in zip(batch, completions, rewards, strict=True):
                one.completions.append(completion)
                one.rewards.append(value)
    return [row for one in played for row in one.rows(logged)]


def _check(agent: Agent, completions: object, wanted: int) -> None:
    if not isinstance(completions, list) or not all(isinstance(c, str) for c in completions):
        raise UsageError(f"agent {agent.name!r} must return a list of str, got {completions!r:.80}")
    if len(completions) != wanted:
        raise UsageError(
            f"agent {agent.name!r} gave {len(completions)} completions for {wanted} dialogs"
        )


@dataclass(slots=True)
class _Played:
    """An episode with what the policy said and earned in it."""

    episode: Episode
    run: dict[str, Any]
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
            row = self.run | {
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
