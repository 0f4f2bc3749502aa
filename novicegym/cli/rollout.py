"""`novicegym rollout`: an agent in the students' seats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from novicegym.cli.options import (
    ERR,
    CourseOption,
    Feedback,
    LogOptions,
    TutorTimeout,
    progress_bar,
    take_splits,
    takes_logs,
)
from novicegym.cli.policies import (
    is_behind_api,
    own_code,
    require_agent,
    require_tutor,
    warn_of_trained_on,
)
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.agents.base import Agent
    from novicegym.courses.model import Course
    from novicegym.eval.episodes import RolloutProtocol


@takes_logs
def rollout(
    *,
    agent: Annotated[
        str,
        typer.Option(
            "--agent",
            help="logged, persistence, retrieval, reference, novice; hf:DIRECTORY or hf:ID, a "
            "language model (vllm: on CUDA); openai:MODEL, one behind an API; or MODULE:FACTORY "
            "of your own, called with (course, seed).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)
    ],
    course: CourseOption = "cs1",
    logs: LogOptions,
    learn_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="The part of the course whose logs the agent may use, a split as in --split "
            "(default: all of it). It never uses those of the student it sits in for.",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="paper: from every t > 2; published: from every t > 0; trial: from one t > 0 of "
            "each trajectory, and on where its log ends."
        ),
    ] = "paper",
    tutor: Annotated[
        str | None,
        typer.Option(
            help="Who speaks to the agent after each submission: silent, feedback, next_step, "
            "bug_hint, solution, a language model, or MODULE:FACTORY (default: nobody).",
            show_default=False,
        ),
    ] = None,
    tutor_timeout: TutorTimeout = None,
    feedback: Feedback = "full",
    code_format: Annotated[
        str, typer.Option(help="code: whole programs; dual: diffs for small edits.")
    ] = "code",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the agent.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="Of a language model; 0 is greedy, without chance.")
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(
            help="With --temperature: draw from the likeliest tokens that have this probability "
            "together."
        ),
    ] = 1.0,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Dialogs given to the agent at once.")
    ] = 256,
    on_ray: Annotated[
        bool,
        typer.Option("--ray", help="Play on many processes, by Ray: the records are the same."),
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            help="With --ray: of a running cluster, auto for the one this machine belongs to "
            "(default: the cores of this machine).",
            show_default=False,
        ),
    ] = None,
    env_workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --ray: processes that play and grade, a core each (default: all cores).",
            show_default=False,
        ),
    ] = None,
    model_replicas: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --ray: processes with a copy of the agent, on a GPU each where there are "
            "some; with 0 every env worker has one (default: 1 for a language model, else 0).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Play an agent in the students' seats and record every step.

    --split says which trajectories are played. The same command again completes an
    interrupted run, with --ray or without. It refuses a folder that other settings have made; of a
    MODULE:FACTORY of your own it knows that by MODULE's file alone, so delete the folder when what
    that imports has changed.
    """
    from novicegym.agents.registry import check_sampling
    from novicegym.dialogs.serialize import DialogFormat
    from novicegym.eval.episodes import make_protocol
    from novicegym.eval.records import count_played
    from novicegym.eval.rollouts import SHARD_TRAJECTORIES

    check_sampling(agent, temperature, top_p)
    require_agent(agent)
    if tutor is not None:
        require_tutor(tutor, on_ray=on_ray)
    elif tutor_timeout is not None:
        raise UsageError("--tutor-timeout goes with --tutor")
    # It refuses names that do not exist.
    fmt = DialogFormat(code=code_format, feedback=feedback)  # type: ignore[arg-type]
    rules = with_tutor_timeout(make_protocol(protocol, fmt), tutor_timeout)
    cluster = cluster_of(on_ray, address, env_workers, model_replicas)
    whole = replace(logs, split=None).open(course)
    played = take_splits(whole, logs.split)
    if on_ray and 1 < len(played.trajectories) <= SHARD_TRAJECTORIES:
        ERR.print(
            f"{len(played.trajectories)} trajectories are one shard, which one process plays: "
            "Ray makes it no faster"
        )
    warn_of_trained_on(agent, played)
    play_agent(
        played,
        take_splits(whole, learn_from),
        agent,
        out,
        protocol=rules,
        seed=seed,
        batch_size=batch_size,
        source=logs.source(course) | {"learn_from": learn_from},
        cluster=cluster,
        temperature=temperature,
        top_p=top_p,
        tutor=tutor,
    )
    trajectories, episodes = count_played(out)
    short = len(played.trajectories) - trajectories
    left_out = f"; {short:,} more are too short for protocol {protocol}" if short else ""
    if short > trajectories and protocol == "paper":
        left_out += " (--protocol published begins after the first submission)"
    ERR.print(f"{episodes:,} episodes of {trajectories:,} trajectories{left_out}")
    ERR.print(f"records are in {out}; print them with: novicegym table {out}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Ray plays; None stands for a default."""

    address: str | None
    env_workers: int | None
    model_replicas: int | None


def cluster_of(
    on_ray: bool, address: str | None, env_workers: int | None, model_replicas: int | None
) -> Cluster | None:
    """Return where the options of a command say that Ray plays; None for this process."""
    if on_ray:
        return Cluster(address, env_workers, model_replicas)
    if (address, env_workers, model_replicas) != (None, None, None):
        raise UsageError("--address, --env-workers and --model-replicas go with --ray")
    return None


def with_tutor_timeout(protocol: RolloutProtocol, seconds: float | None) -> RolloutProtocol:
    """Return the protocol under which a tutor has so long for a batch of messages."""
    return replace(protocol, rules=replace(protocol.rules, tutor_timeout=seconds))


def play_agent(
    played: Course,
    pool: Course,
    agent: str,
    out: Path,
    protocol: RolloutProtocol,
    seed: int,
    batch_size: int,
    source: Mapping[str, object],
    cluster: Cluster | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    tutor: str | None = None,
    made: Agent | None = None,
) -> None:
    """Roll an agent out into `out`, with a progress bar; complete what an earlier run left.

    tutor: who speaks to it, as `make_tutor` takes it. made: the agent, where there is one already
    that is the same; Ray makes its own.
    """
    from novicegym.agents.api_usage import usage_kept
    from novicegym.agents.openai import OpenAIAgent
    from novicegym.agents.registry import is_language_model, make_agent
    from novicegym.agents.tutors.registry import make_tutor
    from novicegym.eval.records import is_finished
    from novicegym.eval.rollouts import rollout as play_rollout

    # The student herself learns from nobody: she is in the logs that are played.
    source_of_logs = played if agent == "logged" else pool
    was_finished = is_finished(out)
    make = partial(
        make_agent,
        agent,
        source_of_logs,
        seed=seed,
        fmt=protocol.rules.format,
        temperature=temperature,
        top_p=top_p,
    )
    told = _told(pool, agent, source, temperature, top_p, tutor)
    teach: Callable[[], Agent] | None = None
    if tutor is not None:
        teach = partial(make_tutor, tutor, pool, seed=seed)
    with (
        progress_bar(agent if tutor is None else f"{agent}, {tutor}") as update,
        ExitStack() as opened,
    ):
        settings: dict[str, Any] = {
            "protocol": protocol,
            "seed": seed,
            "source": told,
            "batch_size": batch_size,
            "progress": update,
        }
        # Made here whoever plays, to tell how it asks: it holds no model.
        behind_api = (made or make()) if is_behind_api(agent) else None
        if isinstance(behind_api, OpenAIAgent):
            told["endpoint"] = behind_api.settings
            if cluster is None:
                opened.enter_context(usage_kept(behind_api, out / "usage.json"))
            else:
                ERR.print("on Ray, what is asked of an API is not counted: no usage.json")
        taught = None if teach is None else teach()
        tutor_model = None if taught is None else _behind(taught)
        if teach is not None and isinstance(tutor_model, OpenAIAgent):
            told["tutor_endpoint"] = tutor_model.settings
            teach = partial(_make_as_recorded, teach, tutor_model.settings)
            if cluster is None:
                opened.enter_context(usage_kept(tutor_model, out / "tutor_usage.json"))
            else:
                ERR.print("on Ray, what a tutor asks of an API is not counted: no tutor_usage.json")
        if cluster is None:
            play_rollout(played, behind_api or made or make(), out, tutor=taught, **settings)
        else:
            from novicegym.eval.distributed import rollout_on_ray

            replicas = cluster.model_replicas
            if replicas is None:
                replicas = int(is_language_model(agent))
            if isinstance(behind_api, OpenAIAgent):
                make = partial(_make_as_recorded, make, behind_api.settings)
            rollout_on_ray(
                played,
                make,
                out,
                env_workers=cluster.env_workers,
                model_replicas=replicas,
                address=cluster.address,
                make_tutor=teach,
                **settings,
            )
    if was_finished:
        ERR.print(f"{out} was complete: nothing was played; delete it to play again")


def check_folder(
    played: Course,
    pool: Course,
    agent: str,
    out: Path,
    protocol: RolloutProtocol,
    seed: int,
    source: Mapping[str, object],
    temperature: float,
    top_p: float,
    tutor: str,
) -> None:
    """Raise UsageError where `out` holds another run than `play_agent` would play; write nothing.

    No model is loaded for it. How a tutor that a factory makes asks an API is not looked at.
    """
    from novicegym.agents.registry import make_agent
    from novicegym.agents.tutors.registry import make_tutor
    from novicegym.eval.rollouts import check_rollout

    told = _told(pool, agent, source, temperature, top_p, tutor)
    unknown = []
    if is_behind_api(agent):
        made = make_agent(agent, pool, seed=seed, temperature=temperature, top_p=top_p)
        told["endpoint"] = _settings(made)
    if is_behind_api(tutor):
        told["tutor_endpoint"] = _settings(make_tutor(tutor, pool, seed=seed))
    else:
        unknown.append("source.tutor_endpoint")
    check_rollout(played, out, protocol=protocol, seed=seed, source=told, unknown=unknown)


def _told(
    pool: Course,
    agent: str,
    source: Mapping[str, object],
    temperature: float,
    top_p: float,
    tutor: str | None,
) -> dict[str, Any]:
    """Return what run.json says of where a run comes from, but for how an API is asked."""
    from novicegym.agents.registry import is_language_model
    from novicegym.courses.fingerprint import course_fingerprint

    told = {
        **source,
        "agent": agent,
        "agent_code": own_code(agent),
        "pool": course_fingerprint(pool),
    }
    if is_language_model(agent):
        told["decoding"] = {"temperature": temperature, "top_p": top_p}
    if tutor is not None:
        told |= {"tutor": tutor, "tutor_code": own_code(tutor)}
    return told


def _settings(agent: Agent) -> Mapping[str, Any]:
    """Return how an agent or a tutor behind an API asks it."""
    settings: Mapping[str, Any] = _behind(agent).settings  # type: ignore[attr-defined]
    return settings


def _behind(agent: Agent) -> Agent:
    """Return the language model that speaks for a tutor, else the agent itself."""
    from novicegym.agents.tutors.language_model import LanguageModelTutor
    from novicegym.agents.tutors.on_request import OnRequestTutor

    while isinstance(agent, OnRequestTutor):
        agent = agent.tutor
    return agent.model if isinstance(agent, LanguageModelTutor) else agent


def _make_as_recorded(make: Callable[[], Agent], recorded: Mapping[str, Any]) -> Agent:
    """Make an agent behind an API on another machine, if that asks as run.json says."""
    agent = make()
    settings = _settings(agent)
    changed = sorted(key for key in recorded if settings.get(key) != recorded[key])
    if changed:
        raise UsageError(
            f"a machine of the cluster asks the API otherwise ({', '.join(changed)}) than this "
            "one; start Ray there with the same OPENAI_BASE_URL and NOVICEGYM_API_... variables"
        )
    return agent
