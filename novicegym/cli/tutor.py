"""`novicegym tutor`: trials of tutors on simulated students."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
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
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.eval.bootstrap import Interval
    from novicegym.eval.power import PowerCurve
    from novicegym.eval.report.trial import About
    from novicegym.eval.trial import Effect, Trial
    from novicegym.eval.trial_episodes import TutoredEpisode

app = typer.Typer(help="Try tutors on simulated students.", no_args_is_help=True)

_WIDTH = 80


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
            "hf:DIRECTORY, vllm:... or openai:MODEL; MODULE:FACTORY of your own.",
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
            help="With --power: the effect to see, repeatable: solved=0.05, submissions=-0.5, "
            "final_grade=0.05 (default: the one found).",
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
    run in a folder of DIR (--out); the same command again completes an interrupted trial, and
    more arms may be added. Writes DIR/trial.html, with the dialogues to read, and
    DIR/trial.json, with all numbers. An effect on simulated students is a hypothesis about real
    ones.
    """
    from novicegym.agents.registry import WITH_FILES, check_sampling, make_agent
    from novicegym.cli.rollout import (
        cluster_of,
        play_agent,
        require_playable,
        warn_of_trained_on,
        with_tutor_timeout,
    )
    from novicegym.dialogs.serialize import DialogFormat
    from novicegym.eval.episodes import make_protocol
    from novicegym.eval.records import read_records, read_run
    from novicegym.eval.report.trial import About, choose_dialogues, dialogues, write_trial
    from novicegym.eval.trial import DRAWS, compare_arms
    from novicegym.eval.trial_draw import arm_folders, draw_trajectories
    from novicegym.eval.trial_episodes import tutored_episodes
    from novicegym.grading.grader import shared_grader
    from novicegym.runs import write_atomically

    check_sampling(student, temperature, top_p, kind="student")
    folders = arm_folders(out, arms)
    sizes = _sizes(effects, power)
    fmt = DialogFormat(code=code_format, feedback=feedback)  # type: ignore[arg-type]
    protocol = with_tutor_timeout(make_protocol("trial", fmt), tutor_timeout)
    cluster = cluster_of(on_ray, address, env_workers, model_replicas)
    for arm in arms:  # a slip in the last one is told before hours of the others
        require_playable(arm, cluster)
    grader = shared_grader()
    whole = replace(logs, split=None).open(course)
    pool = take_splits(whole, learn_from)
    played = draw_trajectories(take_splits(whole, logs.split), n, seed, protocol, grader)
    if len(played.trajectories) < n:
        ERR.print(f"{len(played.trajectories):,} episodes: there are no more that can be tutored")
    warn_of_trained_on(student, played)
    made = None
    for arm, folder in folders.items():
        if made is None and cluster is None and student.partition(":")[0] in WITH_FILES:
            # A model is loaded once: what it samples depends on the seat alone. Any other student
            # is made anew, or what she did in one arm would change her in the next.
            made = make_agent(
                student, pool, seed=seed, fmt=fmt, temperature=temperature, top_p=top_p
            )
        play_agent(
            played,
            pool,
            student,
            folder,
            protocol=protocol,
            seed=seed,
            batch_size=batch_size,
            source=logs.source(course) | {"learn_from": learn_from, "trial": n},
            cluster=cluster,
            temperature=temperature,
            top_p=top_p,
            tutor=arm,
            made=made,
        )
    results: dict[str, list[TutoredEpisode]] = {}
    with progress_bar("leaks") as update:
        for done, (arm, folder) in enumerate(folders.items()):
            update(done, len(folders))
            results[arm] = tutored_episodes(
                read_records(folder), played, pool, grader, horizon=protocol.rules.horizon
            )
        update(len(folders), len(folders))
    trial = compare_arms(results, samples=samples or DRAWS, seed=seed)
    curves = _power(results, sizes, seed) if power else []
    about = About(
        course=played.name,
        synthetic=played.synthetic,
        student=read_run(folders[arms[0]])["agent"],
        protocol=protocol.name,
        horizon=protocol.rules.horizon,
        seed=seed,
        feedback=fmt.feedback,
        runs=tuple(map(str, folders.values())),
    )
    told = {"about": asdict(about)} | trial.to_json() | {"power": [asdict(one) for one in curves]}
    numbers = json.dumps(told, indent=2)
    write_atomically(out / "trial.json", f"{numbers}\n".encode())
    ERR.print(f"wrote {out / 'trial.json'}")
    if find_spec("jinja2") is None:
        ERR.print("trial.html is not written, it needs jinja2: pip install 'novicegym[eval]'")
    else:
        chosen = choose_dialogues(results, episodes, seed)
        shown = dialogues(results, chosen, played, grader, fmt.feedback)
        ERR.print(f"wrote {write_trial(out, trial, about, shown, curves)}")
    if as_json:
        print(numbers)
    else:
        for line in render_trial(trial, about, curves):
            print(line)


def _sizes(effects: list[str] | None, power: bool) -> dict[str, float]:
    """Return the effects asked for, by outcome; UsageError for what is no outcome or number."""
    from novicegym.errors import unknown_name
    from novicegym.eval.trial_episodes import OUTCOMES

    if effects and not power:
        raise UsageError("--effect goes with --power")
    known = [one.name for one in OUTCOMES if one.of_students]
    sizes = {}
    for name, text in pairs("--effect", effects).items():
        if name not in known:
            raise unknown_name("outcome", name, known)
        try:
            sizes[name] = float(text)
        except ValueError:
            raise UsageError(f"--effect {name} takes a number, got {text!r}") from None
        if not math.isfinite(sizes[name]) or not sizes[name]:
            raise UsageError(f"--effect {name} takes a number other than 0, got {text}")
    return sizes


def _power(
    results: Mapping[str, Sequence[TutoredEpisode]], sizes: Mapping[str, float], seed: int
) -> list[PowerCurve]:
    """Return the power for the outcomes asked for, or for all that students have."""
    from novicegym.eval.power import DESIGNS, power_curve
    from novicegym.eval.trial import outcome_values, student_sums
    from novicegym.eval.trial_episodes import OUTCOMES

    horizon = next(iter(results.values()))[0].horizon
    names = list(sizes) or [one.name for one in OUTCOMES if one.of_students]
    control, *others = results
    students = [one.key[0] for one in results[control]]
    values = outcome_values(results, names)
    curves = []
    asked = [
        (arm, name, design) for design in DESIGNS for arm in range(len(others)) for name in names
    ]
    with progress_bar("power") as update:
        for done, (arm, name, design) in enumerate(asked):
            update(done, len(asked))
            column = values[:, :, names.index(name)]
            of_control, of_arm = (
                student_sums(students, np.stack([column[:, one], np.ones(len(column))], axis=1))
                for one in (0, arm + 1)
            )
            curves.append(
                power_curve(
                    of_control,
                    of_arm,
                    design=design,
                    effect=sizes.get(name),
                    span=(1.0, float(horizon)) if name == "submissions" else (0.0, 1.0),
                    arm=others[arm],
                    outcome=name,
                    seed=seed,
                )
            )
        update(len(asked), len(asked))
    return curves


def render_trial(trial: Trial, about: About, curves: Sequence[PowerCurve] = ()) -> Iterator[str]:
    """Yield the lines of a trial: at most 80 columns, and nothing that drives a terminal."""
    from rich.cells import cell_len, set_cell_size

    for line in _lines(trial, about, curves):
        yield line if cell_len(line) <= _WIDTH else set_cell_size(line, _WIDTH - 1) + "…"


def _lines(trial: Trial, about: About, curves: Sequence[PowerCurve]) -> Iterator[str]:
    from novicegym.eval.trial_episodes import OUTCOMES

    synthetic = " (synthetic)" if about.synthetic else ""
    yield from _prose(
        f"Simulated student {_line(about.student)} on {_line(about.course)}{synthetic}: "
        f"{trial.episodes:,} episodes from logged states of {trial.students:,} students under "
        f"each tutor, at most {about.horizon} submissions each. Differences from "
        f"{_line(trial.arms[0])}, paired by episode; 95 % intervals by student, p values adjusted "
        "for all rows (Holm)."
    )
    yield ""
    yield f"{'':18}{'mean (95 % interval)':24}{'difference':26}{'p':>6}"
    for outcome in OUTCOMES:
        yield outcome.label
        for arm in trial.arms:
            yield _effect(trial.effect(arm, outcome.name))
    yield ""
    yield from _prose(
        "Share solved, by the mean grade of what the student had submitted when the tutor came:"
    )
    for part in trial.parts:
        yield (
            f"{part.name} ({part.lowest:.2f} to {part.highest:.2f}): {part.episodes:,} episodes of "
            f"{part.students:,} students"
        )
        for one in part.effects:
            if one.outcome == "solved":
                yield _effect(one)
    for design in dict.fromkeys(one.design for one in curves):
        yield ""
        under = (
            "each under both tutors, as here"
            if design == "paired"
            else "half of them under each tutor, as with real students"
        )
        yield from _prose(f"Students for a power of 80 % at 5 %, {under}:")
        yield from (_needed(curve) for curve in curves if curve.design == design)
    yield ""
    yield "An effect on simulated students is a hypothesis about real ones."


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)


def _line(text: str) -> str:
    """Return what somebody named, as part of one line."""
    from novicegym.envs.render import printable

    return printable(" ".join(text.split()))


def _effect(one: Effect) -> str:
    from rich.cells import set_cell_size

    from novicegym.eval.report.tables import shown_p

    digits = 2 if one.outcome in ("submissions", "messages") else 3
    row = f"{set_cell_size(f'  {_line(one.arm)}', 17)} {_interval(one.mean, digits):24}"
    if one.difference is None:
        return f"{row}control"
    p = "" if one.adjusted_p is None else shown_p(one.adjusted_p).replace(" ", "")
    return f"{row}{_interval(one.difference.interval, digits, sign='+'):26}{p:>6}"


def _interval(one: Interval, digits: int, sign: str = "") -> str:
    texts = [f"{end:{sign}.{digits}f}" for end in (one.value, one.low, one.high)]
    value, low, high = (text if float(text) else text.lstrip("+-") for text in texts)
    return f"{value} ({low} to {high})"


def _needed(one: PowerCurve) -> str:
    from novicegym.eval.power import LEAST, MOST

    name = f"  {_line(one.arm)}, {one.outcome} {one.effect:+.3f}"
    if not one.effect:
        return f"{name}: there is no effect to see"
    if one.needed is None:
        return f"{name}: more than {MOST:,}"
    fewer = " or fewer" if one.needed.students == LEAST else ""
    return (
        f"{name}: {one.needed.students:,}{fewer} ({one.needed.episodes:,} episodes of each tutor)"
    )
