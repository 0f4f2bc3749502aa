"""Rollouts: the paper's evaluation is nothing but episodes from every logged position.

For every trajectory and every position t the protocol allows, the policy plays up to
`horizon` steps from the logged prefix (paper, section 5.3). A student is done with her first
fully correct submission: what she submitted after it is neither a start nor a counterpart, or
the logged student herself would not be covered. Work is split into shards of consecutive
trajectories, written as they finish: a killed run, started again with the same command, goes on
where it was and ends with the same bytes.

With a tutor the student reads its messages, too; the runner and the table are the same, with two
columns more (`novicegym.eval.records.TUTORED_RECORDS`).

Covered: one process, batched policies, resumption. Not covered: several processes, which is
`novicegym.eval.distributed`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from novicegym.agents.base import Agent
from novicegym.courses.fingerprint import course_fingerprint
from novicegym.courses.model import Course, Trajectory
from novicegym.envs.episode import EpisodeRules
from novicegym.envs.partner import require_listening
from novicegym.errors import UsageError
from novicegym.eval.episodes import PROTOCOLS, LocalDesk, RolloutProtocol, play_trajectories
from novicegym.eval.records import encode_shard, shard_path, write_shard
from novicegym.grading.grader import GRADER_VERSION, Grader, shared_grader
from novicegym.runs import check_run, open_run, run_versions

SHARD_TRAJECTORIES = 32
"""Trajectories in a shard: what a killed run loses at most."""


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
    tutor: Agent | None = None,
) -> Path:
    """Play `agent` from every start of `protocol` and write the records to `out`.

    seed: recorded; the agent was built with it. source: how the course was named and cut, so
    that a run can be told from another. batch_size: most dialogs given to the agent at once.
    progress: called with (trajectories done, trajectories in all). tutor: speaks to the agent
    after every submission. Returns `out`.
    Raises UsageError for a batch size below 1, a seed that does not fit its column, a
    folder that holds another run, and a tutor for an agent that does not listen.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, got {batch_size}")
    grader = grader or shared_grader()
    if tutor is not None:
        require_listening(agent)
    run = open_rollout(
        course,
        agent.name,
        out,
        protocol=protocol,
        seed=seed,
        source=source,
        tutor=None if tutor is None else tutor.name,
    )
    done, total = run.done(), len(course.trajectories)
    for shard in run.missing():
        desk = LocalDesk(agent, batch_size)
        rows = play_trajectories(
            course, shard.trajectories, desk, protocol, grader, run=run.told, tutor=tutor
        )
        write_shard(out, shard.index, encode_shard(rows, tutored=tutor is not None))
        done += len(shard.trajectories)
        if progress is not None:
            progress(done, total)
    return out


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive trajectories whose records go into one file."""

    index: int
    trajectories: Sequence[Trajectory]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A run that is to be played, or gone on with."""

    course: Course
    out: Path
    told: Mapping[str, Any]
    """What every record says of its run."""
    shards: int

    def missing(self) -> Iterator[Shard]:
        """Return the shards that are not there, in order."""
        for index in range(self.shards):
            if not shard_path(self.out, index).exists():
                first = index * SHARD_TRAJECTORIES
                chunk = self.course.trajectories[first : first + SHARD_TRAJECTORIES]
                yield Shard(index, chunk)

    def done(self) -> int:
        """Return how many trajectories are in shards that are there."""
        total = len(self.course.trajectories)
        return sum(
            min(SHARD_TRAJECTORIES, total - index * SHARD_TRAJECTORIES)
            for index in range(self.shards)
            if shard_path(self.out, index).exists()
        )


def open_rollout(
    course: Course,
    agent: str,
    out: Path,
    *,
    protocol: RolloutProtocol,
    seed: int,
    source: Mapping[str, object] | None,
    tutor: str | None = None,
) -> Rollout:
    """Return the rollout of an agent, given by its name, in the folder `out`, which is made.

    tutor: its name, where there is one.

    It is the same whoever plays it: one process may begin it and others go on. Raises UsageError
    for a seed that does not fit its column, and a folder that holds another run.
    """
    if not 0 <= seed < 1 << 63:
        raise UsageError(f"seed must be at least 0 and below 2**63, got {seed}")
    told = {
        "course": course.name,
        "synthetic": course.synthetic,
        "agent": agent,
        "protocol": protocol.name,
        "seed": seed,
    }
    config = _config(course, protocol, seed, source) | {"agent": agent}
    if tutor is not None:
        config["tutor"] = tutor
    open_run(out, config)
    return Rollout(course, out, told, config["shards"])


def check_rollout(
    course: Course,
    out: Path,
    *,
    protocol: RolloutProtocol,
    seed: int,
    source: Mapping[str, object] | None,
    unknown: Collection[str] = (),
) -> None:
    """Raise UsageError where the folder `out` holds another run than `open_rollout` would go on.

    Writes nothing. An agent and a tutor need not be made for it: what they call themselves is not
    looked at, nor are the keys `unknown` of run.json.
    """
    config = _config(course, protocol, seed, source)
    check_run(out, config, unknown=("agent", "tutor", *unknown))


def _config(
    course: Course, protocol: RolloutProtocol, seed: int, source: Mapping[str, object] | None
) -> dict[str, Any]:
    """Return what run.json says, but for the names of agent and tutor."""
    return {
        "kind": "rollout",
        "course": course.name,
        "synthetic": course.synthetic,
        "seed": seed,
        "source": dict(source or {}),
        "fingerprint": course_fingerprint(course),
        "protocol": _told_of(protocol),
        "reward": "tiered",
        "trajectories": len(course.trajectories),
        "shards": -(-len(course.trajectories) // SHARD_TRAJECTORIES),
        "versions": run_versions("gymnasium", "numpy", "pyarrow") | {"grader": GRADER_VERSION},
    }


def _told_of(protocol: RolloutProtocol) -> dict[str, Any]:
    """Return what run.json says of a protocol; a rule that came later is told where it holds."""
    told = {"name": protocol.name, "min_position": protocol.min_position} | asdict(protocol.rules)
    later = {name: told.pop(name) for name in ("past_log", "tutor_timeout")}
    later["one_start"] = protocol.one_start
    usual = asdict(EpisodeRules()) | {"one_start": False}
    return told | {name: value for name, value in later.items() if value != usual[name]}
