"""Rollouts on many processes and machines, by Ray: the same records as in one process.

A shard of trajectories is a Ray task: it grades on a core of its own and asks a model replica, a
Ray actor, for the next submissions of all its episodes. An episode whose answer is there goes on,
whatever the others wait for. Agents that only look things up need no replica: every env worker,
as the processes are called that tasks run in, has its own.

What dies, Ray starts again, a task on any machine that has a core; a shard that was half played is
played anew, and since a policy's answers depend on the dialog and the seed, to the same records.
This process writes the shards as they come, each as a whole. So a run that was killed goes on
where it was, here or in `novicegym.eval.rollouts`, and machines need no common file system.

Covered: one machine, and a running cluster by its address. Not covered: starting a cluster.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from novicegym.agents.base import Agent
from novicegym.courses.model import Course, Trajectory
from novicegym.envs.episode import Episode
from novicegym.envs.partner import require_listening
from novicegym.errors import AgentError, GraderError, UsageError
from novicegym.eval.episodes import (
    PROTOCOLS,
    Desk,
    LocalDesk,
    RolloutProtocol,
    play_trajectories,
    states,
)
from novicegym.eval.records import encode_shard, write_shard
from novicegym.eval.rollouts import Shard, open_rollout
from novicegym.eval.serving import Serving
from novicegym.grading.grader import Grader
from novicegym.grading.store import default_store

_TRIES = 5
"""How often a shard is begun anew because a process died that it needs."""
_LONG = 120.0
"""Seconds after which it is said what is waited for."""
_PATIENCE = 5.0
"""Seconds that a shard waits for more replicas when one is there."""
_THREADS = 1000
"""Calls that a replica takes on at once, at most: each is a thread."""
_CALLS = 4
"""Batches that a shard has asked a replica for and not got yet, at most."""


def rollout_on_ray(
    course: Course,
    make_agent: Callable[[], Agent],
    out: Path,
    *,
    protocol: RolloutProtocol = PROTOCOLS["paper"],
    seed: int = 0,
    source: Mapping[str, object] | None = None,
    batch_size: int = 64,
    env_workers: int | None = None,
    model_replicas: int = 0,
    address: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    make_tutor: Callable[[], Agent] | None = None,
) -> Path:
    """Play an agent from every start of `protocol` on Ray and write the records to `out`.

    make_agent: called in each replica, or without replicas in each worker; it is pickled.
    make_tutor: called here and in each worker, which has a tutor of its own, and no GPU. The
    other settings are those of `novicegym.eval.rollouts.rollout`, whose run this may go on with.
    env_workers: default the cores there are. model_replicas: processes with a copy of the agent
    each, on GPUs where there are some. address: of a running cluster, "auto" for the one this
    machine belongs to; None starts one on this machine, for this run. Raises UsageError for what
    cannot be, and for more workers than there are cores.
    """
    for name, number in (("batch_size", batch_size), ("env_workers", env_workers)):
        if number is not None and number < 1:
            raise UsageError(f"{name} must be at least 1, got {number}")
    if model_replicas < 0:
        raise UsageError(f"model_replicas must be at least 0, got {model_replicas}")
    with _connected(address) as ray:
        there = ray.cluster_resources()
        cores, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
        env_workers = env_workers or max(1, cores)
        if env_workers > cores:
            raise UsageError(f"{env_workers} env workers need a core each, Ray has {cores}")
        made = ray.put(make_agent)
        tutors = None if make_tutor is None else ray.put(make_tutor)
        replicas = [
            ray.remote(_Replica)
            .options(
                max_restarts=-1,
                max_concurrency=min(_CALLS * env_workers + 1, _THREADS),
                num_cpus=0,
                num_gpus=1 / math.ceil(model_replicas / gpus) if gpus else 0,
                scheduling_strategy="SPREAD",
            )
            .remote([made], batch_size)
            for _ in range(model_replicas)
        ]
        if replicas:
            name = _name(ray, replicas[0], listening=make_tutor is not None)
        else:
            agent = make_agent()
            name = agent.name
            if make_tutor is not None:
                require_listening(agent)
        run = open_rollout(
            course,
            name,
            out,
            protocol=protocol,
            seed=seed,
            source=source,
            tutor=None if make_tutor is None else make_tutor().name,
        )
        assignments = ray.put(replace(course, trajectories=()))
        play = ray.remote(_play).options(
            num_cpus=1,
            max_retries=_TRIES,
            retry_exceptions=[ray.exceptions.RayActorError],
            scheduling_strategy="SPREAD",
        )
        settings = replicas, batch_size, protocol, dict(run.told)
        done, total = run.done(), len(course.trajectories)
        for shard, encoded in _played(
            ray,
            lambda shard: play.remote([assignments, made, tutors], shard.trajectories, *settings),
            run.missing(),
            env_workers,
        ):
            write_shard(out, shard.index, encoded)
            done += len(shard.trajectories)
            if progress is not None:
                progress(done, total)
    return out


def _played(
    ray: Any, begin: Callable[[Shard], Any], shards: Iterator[Shard], at_once: int
) -> Iterator[tuple[Shard, bytes]]:
    """Yield each shard with its records when it is done; `at_once` of them are under way."""
    running = {begin(shard): shard for shard in islice(shards, at_once)}
    while running:
        [ready], _ = ray.wait(list(running), num_returns=1)
        shard = running.pop(ready)
        try:
            encoded = ray.get(ready)
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if cause is not None and not isinstance(cause, ray.exceptions.RayError):
                raise cause from error  # an agent's or the grader's; Ray tells where
            raise GraderError(
                f"a shard cannot be played, though it was begun {_TRIES + 1} times: a process that "
                f"it needs dies ({_shortly(error)}); what is finished is kept, and the same "
                "command goes on"
            ) from None
        running |= {begin(following): following for following in islice(shards, 1)}
        yield shard, encoded


def _name(ray: Any, replica: Any, *, listening: bool) -> str:
    """Return the name of a replica's agent, when it is made; `listening`: it must listen."""
    call = replica.name.remote(listening)
    if not ray.wait([call], timeout=_LONG)[0]:
        logging.getLogger(__name__).warning(
            "still waiting for a model replica: it loads, or Ray has no machine or GPU free for it"
        )
    try:
        name: str = ray.get(call)
    except ray.exceptions.RayActorError as error:
        raise AgentError(f"the agent cannot be made in a replica: {_shortly(error)}") from None
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # it does not listen
    return name


def _shortly(error: Exception) -> str:
    """Return the end of what Ray says, where the cause is."""
    return " ".join(str(error).split())[-300:]


class _Replica:
    """The agent, in a process of its own, for all workers."""

    def __init__(self, made: list[Any], batch_size: int) -> None:
        """made: a reference to what makes the agent. In a list Ray does not fetch it; one that
        it fetched it might not have any more when it starts this process again."""
        import ray

        self._agent: Agent = ray.get(made[0])()
        self._serving = Serving(self._agent, batch_size)

    def name(self, listening: bool = False) -> str:
        if listening:
            require_listening(self._agent)
        return self._agent.name

    def ask(
        self, dialogs: list[Any], infos: list[Mapping[str, Any]]
    ) -> Iterator[list[tuple[int, str]]]:
        with _sendable():
            yield from self._serving.ask(dialogs, infos)


def _play(
    kept: list[Any],
    trajectories: Sequence[Trajectory],
    replicas: list[Any],
    batch_size: int,
    protocol: RolloutProtocol,
    told: dict[str, Any],
) -> bytes:
    """Return the file of a shard's records.

    kept: references to the course, to what makes the agent, as in `_Replica`, and to what makes
    the tutor or None.
    """
    course, made, made_tutor = kept
    with _sendable():
        desk: Desk = (
            _ReplicaDesk(replicas, batch_size) if replicas else LocalDesk(_agent(made), batch_size)
        )
        tutor = None if made_tutor is None else _agent(made_tutor)
        rows = play_trajectories(
            _course(course), trajectories, desk, protocol, _grader(), run=told, tutor=tutor
        )
        return encode_shard(rows, tutored=tutor is not None)


@contextmanager
def _sendable() -> Iterator[None]:
    """Replace an exception that another process could not read, which Ray takes for a death."""
    import ray

    try:
        yield
    except ray.exceptions.RayError:  # from a replica, and so through here already
        raise
    except Exception as error:
        try:
            dumps: Callable[[Exception], bytes] = ray.cloudpickle.dumps
            pickle.loads(dumps(error))
        except Exception:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        raise


# What a process keeps from one task to the next.


@cache
def _course(kept: Any) -> Course:
    import ray

    course: Course = ray.get(kept)
    return course


@cache
def _agent(made: Any) -> Agent:
    import ray

    agent: Agent = ray.get(made)()
    return agent


@cache
def _grader() -> Grader:
    return Grader(workers=1, store=default_store())


class _ReplicaDesk:
    """Asks the replicas in turn, a few batches at a time."""

    def __init__(self, replicas: Sequence[Any], batch_size: int) -> None:
        import ray

        self._ray, self._batch_size = ray, batch_size
        self._waiting: deque[tuple[int, Episode]] = deque()
        self._calls: dict[Any, tuple[list[int], int]] = {}
        """By the answers of a call: its tickets, and how many are not answered."""
        # One that died is starting again, and until then turns every call away; where its machine
        # is gone it may never come back.
        there = {one.name.options(max_task_retries=-1).remote(): one for one in replicas}
        ray.wait(list(there), num_returns=1)
        ready, _ = ray.wait(list(there), num_returns=len(there), timeout=_PATIENCE)
        self._replicas = deque(one for call, one in there.items() if call in set(ready))

    def ask(self, tickets: Sequence[int], episodes: Sequence[Episode]) -> None:
        self._waiting.extend(zip(tickets, episodes, strict=True))
        while self._waiting and len(self._calls) < _CALLS * len(self._replicas):
            size = min(self._batch_size, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            replica = self._replicas[0]
            self._replicas.rotate()
            answers = replica.ask.options(num_returns="streaming").remote(
                *states([episode for _, episode in batch])
            )
            self._calls[answers] = [ticket for ticket, _ in batch], size

    def answers(self) -> list[tuple[int, str]]:
        calls = list(self._calls)
        self._ray.wait(calls, num_returns=1)
        ready: list[Any]
        ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        found = []
        for call in ready:
            tickets, missing = self._calls[call]
            part = self._ray.get(next(call))
            found += [(tickets[place], completion) for place, completion in part]
            if missing == len(part):
                del self._calls[call]
            else:
                self._calls[call] = tickets, missing - len(part)
        self.ask([], [])  # a place among the calls may be free
        return found


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one of this machine; what is started is ended."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        # Nobody else can reach it, and no token is written into the home folder.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    try:
        import ray
    except ImportError:
        raise UsageError("--ray needs ray: pip install 'novicegym[ray]'") from None
    if ray.is_initialized():  # the caller's, and his to end
        yield ray
        return
    try:
        alone: dict[str, Any] = {} if address else {"include_dashboard": False}
        ray.init(address or "local", log_to_driver=False, logging_level=logging.WARNING, **alone)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"no Ray cluster at {address!r}: {_shortly(error)}") from None
    try:
        yield ray
    finally:
        ray.shutdown()
