"""`novicegym tutor`: trials of tutors on simulated students."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novicegym.cli.options import (
    ERR,
    CourseOption,
    Feedback,
    Json,
    LogOptions,
    TutorTimeout,
    pairs,
    progress_bar,
    take_splits,
    takes_logs,
)
from novicegym.cli.policies import is_own, require_agent, require_tutor, warn_of_trained_on
from novicegym.cli.rollout import (
    Cluster,
    check_folder,
    cluster_of,
    play_agent,
    with_tutor_timeout,
)
from novicegym.cli.trial_table import render_trial
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.courses.model import Course
    from novicegym.eval.episodes import RolloutProtocol
    from novicegym.eval.power import PowerCurve
    from novicegym.eval.report.trial import About
    from novicegym.eval.trial_episodes import TutoredEpisode
    from novicegym.grading.grader import Grader

app = typer.Typer(help="Try tutors on simulated students.", no_args_is_help=True)


@app.callback()
def _tutor() -> None: ...


@app.command("compare")
@takes_logs
def compare(
    *,
    arms: Annotated[
        list[str],
        typer.Argument(
            metavar="ARM",
            help="Tutors, the control first: silent, feedback, next_step, bug_hint, solution; "
            "hf:DIRECTORY, vllm:... or openai:MODEL; MODULE:FACTORY of your own; on_request:TUTOR, "
            "any of them where a student would ask.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the trial.", show_default=False)
    ],
    student: Annotated[
        str,
        typer.Option(
            help="Who is tutored: novice, a language model, or MODULE:FACTORY. Students that do "
            "the same whatever a tutor says are refused."
        ),
    ] = "novice",
    course: CourseOption = "cs1",
    n: Annotated[int, typer.Option("--n", "-n", min=2, help="Episodes of each arm.")] = 400,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of who takes part, of the student and of the draws.")
    ] = 0,
    logs: LogOptions,
    learn_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="The part of the course whose logs the student and the tutors may use, a split "
            "as in --split (default: all of it).",
        ),
    ] = None,
    power: Annotated[
        bool, typer.Option("--power", help="Say how many students it takes to see the effects.")
    ] = False,
    effects: Annotated[
        list[str] | None,
        typer.Option(
            "--effect",
            metavar="OUTCOME=SIZE",
            help="With --power: the difference from the control to see, repeatable: solved=0.05, "
            "submissions=-0.5, final_grade=0.05 (default: those found).",
        ),
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Dialogues on the page.")] = 20,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, help="Draws of students for intervals (default: 10000).", show_default=False
        ),
    ] = None,
    feedback: Feedback = "full",
    code_format: Annotated[
        str, typer.Option(help="code: whole programs; dual: diffs for small edits.")
    ] = "code",
    temperature: Annotated[
        float, typer.Option(help="Of a language model as student; 0 is greedy.")
    ] = 0.0,
    top_p: Annotated[float, typer.Option(help="With --temperature, as in `rollout`.")] = 1.0,
    tutor_timeout: TutorTimeout = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Dialogs given to the student at once.")
    ] = 256,
    on_ray: Annotated[bool, typer.Option("--ray", help="Play on many processes, by Ray.")] = False,
    address: Annotated[
        str | None,
        typer.Option(help="With --ray: of a running cluster, as in `rollout`.", show_default=False),
    ] = None,
    env_workers: Annotated[
        int | None,
        typer.Option(min=1, help="With --ray: processes that play and grade.", show_default=False),
    ] = None,
    model_replicas: Annotated[
        int | None,
        typer.Option(
            min=0, help="With --ray: processes with a copy of the student.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try tutors on simulated students: a randomised trial with common random numbers.

    Every arm plays the same students, starts and seeds, so differences are paired. Each arm is a
    run in a folder of --out; the same command again completes an interrupted trial, and more arms
    may be added. It refuses an arm that other settings have made; of a MODULE:FACTORY of your own
    it knows that by MODULE's file alone, so delete the arm's folder when what that imports has
    changed. Writes trial.html there, with the dialogues to read, and trial.json, with all
    numbers. An effect on simulated students is a hypothesis about real ones.
    """
    from novicegym.agents.registry import check_sampling
    from novicegym.dialogs.serialize import DialogFormat
    from novicegym.eval.episodes import make_protocol
    from novicegym.eval.report.trial import choose_dialogues, dialogues, write_trial
    from novicegym.eval.trial import DRAWS, compare_arms
    from novicegym.eval.trial_draw import arm_folders, draw_trajectories
    from novicegym.grading.grader import shared_grader
    from novicegym.runs import write_atomically

    check_sampling(student, temperature, top_p, kind="student")
    require_agent(student, "student")
    folders = arm_folders(out, arms)
    for arm in arms:  # a slip in the last one is told before hours of the others
        require_tutor(arm, on_ray=on_ray)
    fmt = DialogFormat(code=code_format, feedback=feedback)  # type: ignore[arg-type]
    plan = _Plan(
        folders=folders,
        student=student,
        protocol=with_tutor_timeout(make_protocol("trial", fmt), tutor_timeout),
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        batch_size=batch_size,
        cluster=cluster_of(on_ray, address, env_workers, model_replicas),
        source=logs.source(course) | {"learn_from": learn_from, "trial": n},
    )
    wanted = _wanted(effects, power, plan.protocol.rules.horizon)
    grader = shared_grader()
    whole = replace(logs, split=None).open(course)
    pool = take_splits(whole, learn_from)
    played = draw_trajectories(take_splits(whole, logs.split), n, seed, plan.protocol, grader)
    if len(played.trajectories) < n:
        ERR.print(f"{len(played.trajectories):,} episodes: there are no more that can be tutored")
    warn_of_trained_on(student, played)
    _play(plan, played, pool)
    results = _results(plan, played, pool, grader)
    for line in _failures(results):
        ERR.print(line)
    there = {path.parent.name for path in out.glob("*/run.json")}
    if others := sorted(there - {folder.name for folder in folders.values()}):
        ERR.print(f"also in {out}, and not compared here: {', '.join(others)}")
    trial = compare_arms(results, samples=samples or DRAWS, seed=seed)
    curves, impossible = _power(results, wanted, seed) if power else ([], None)
    about = _about(plan, played)
    told = {"about": asdict(about)} | trial.to_json() | {"power": [asdict(one) for one in curves]}
    numbers = json.dumps(told, indent=2)
    write_atomically(out / "trial.json", f"{numbers}\n".encode())
    ERR.print(f"wrote {out / 'trial.json'}")
    for line in [numbers] if as_json else render_trial(trial, about, curves):
        print(line, flush=True)
    if find_spec("jinja2") is None:
        ERR.print("trial.html is not written, it needs jinja2: pip install 'novicegym[eval]'")
    else:
        chosen = choose_dialogues(results, episodes, seed)
        shown = dialogues(results, chosen, played, grader, about.feedback)
        ERR.print(f"wrote {write_trial(out, trial, about, shown, curves)}")
    if impossible is not None:  # told last: nothing of the trial is lost
        raise impossible


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How a trial is played."""

    folders: Mapping[str, Path]
    """Of each arm's run, by tutor; the control first."""
    student: str
    protocol: RolloutProtocol
    seed: int
    temperature: float
    top_p: float
    batch_size: int
    cluster: Cluster | None
    source: Mapping[str, object]
    """Where the course comes from, for run.json."""


def _wanted(effects: list[str] | None, power: bool, horizon: int) -> dict[str, float]:
    """Return the effects asked for, by outcome; UsageError for what no trial can find."""
    from novicegym.eval.trial_power import check_effects

    if effects and not power:
        raise UsageError("--effect goes with --power")
    wanted = {}
    for name, text in pairs("--effect", effects).items():
        try:
            wanted[name] = float(text)
        except ValueError:
            raise UsageError(f"--effect {name} takes a number, got {text!r}") from None
    check_effects(wanted, horizon)
    return wanted


def _play(plan: _Plan, played: Course, pool: Course) -> None:
    """Play every arm, or what is missing of it; where one cannot be, none is."""
    from novicegym.agents.registry import WITH_FILES, make_agent
    from novicegym.agents.tutors.registry import make_tutor

    for arm, folder in plan.folders.items():
        check_folder(
            played,
            pool,
            plan.student,
            folder,
            plan.protocol,
            plan.seed,
            plan.source,
            plan.temperature,
            plan.top_p,
            arm,
        )
    for arm in plan.folders:
        if is_own(arm):  # made once for nothing: its factory may fail
            make_tutor(arm, pool, plan.seed)
    made = None
    for arm, folder in plan.folders.items():
        is_model = plan.student.partition(":")[0] in WITH_FILES
        if made is None and plan.cluster is None and is_model:
            # A model is loaded once: what it samples depends on the seat alone. Any other student
            # is made anew, or what she did in one arm would change her in the next.
            made = make_agent(
                plan.student,
                pool,
                seed=plan.seed,
                fmt=plan.protocol.rules.format,
                temperature=plan.temperature,
                top_p=plan.top_p,
            )
        play_agent(
            played,
            pool,
            plan.student,
            folder,
            protocol=plan.protocol,
            seed=plan.seed,
            batch_size=plan.batch_size,
            source=plan.source,
            cluster=plan.cluster,
            temperature=plan.temperature,
            top_p=plan.top_p,
            tutor=arm,
            made=made,
        )


def _results(
    plan: _Plan, played: Course, pool: Course, grader: Grader
) -> dict[str, list[TutoredEpisode]]:
    """Return what came of each arm's episodes."""
    from novicegym.eval.records import read_records
    from novicegym.eval.trial_episodes import tutored_episodes

    horizon = plan.protocol.rules.horizon
    results = {}
    with progress_bar("leaks") as update:
        for number, (arm, folder) in enumerate(plan.folders.items()):
            results[arm] = tutored_episodes(
                read_records(folder),
                played,
                pool,
                grader,
                horizon=horizon,
                kept_in=folder,
                progress=_part(update, number, len(plan.folders)),
            )
    return results


def _failures(results: Mapping[str, Sequence[TutoredEpisode]]) -> Iterator[str]:
    """Yield a line for each tutor that has failed: how often, and why at first."""
    for arm, played in results.items():
        turns = [turn for one in played for turn in one.turns]
        failed = [turn.failure for turn in turns if turn.failure]
        if failed:
            yield (
                f"warning: tutor {arm} gave no answer {len(failed):,} of {len(turns):,} times; "
                f"at first: {failed[0]}"
            )


def _part(
    update: Callable[[int, int], None], number: int, parts: int
) -> Callable[[int, int], None]:
    """Return what tells the progress of one of several parts of the same size as that of all."""
    return lambda done, total: update(number * total + done, parts * total)


def _power(
    results: Mapping[str, Sequence[TutoredEpisode]], wanted: Mapping[str, float], seed: int
) -> tuple[list[PowerCurve], UsageError | None]:
    """Return the power for the effects wanted, or none and why one of them cannot be."""
    from novicegym.eval.trial_power import power_curves

    with progress_bar("power") as update:
        try:
            return power_curves(results, wanted, seed=seed, progress=update), None
        except UsageError as impossible:
            return [], impossible


def _about(plan: _Plan, played: Course) -> About:
    from novicegym.eval.records import read_run
    from novicegym.eval.report.trial import About

    rules = plan.protocol.rules
    return About(
        course=played.name,
        synthetic=played.synthetic,
        student=read_run(next(iter(plan.folders.values())))["agent"],
        protocol=plan.protocol.name,
        horizon=rules.horizon,
        seed=plan.seed,
        feedback=rules.format.feedback,
        runs=tuple(map(str, plan.folders.values())),
    )
