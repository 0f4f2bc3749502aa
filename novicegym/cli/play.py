"""`novicegym grade`, `rollout` and `table`: the main job."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novicegym.cli.options import (
    ERR,
    OUT,
    Columns,
    CourseOption,
    Json,
    LogOptions,
    ReaderOptions,
    Tests,
    progress_bar,
    take_splits,
    takes_logs,
)
from novicegym.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from novicegym.courses.model import Course
    from novicegym.eval.rollouts import RolloutProtocol
    from novicegym.eval.table import ResultTable


_MODELS = ("hf", "vllm")
"""What names an agent that is a language model, before a colon."""
Feedback = Annotated[
    str, typer.Option(help="How much the grader says: none (PARA), grade, summary or full.")
]


def grade(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The program; - for stdin.")],
    assignment: Annotated[
        str, typer.Option("--assignment", "-a", help="Id of the assignment.", show_default=False)
    ],
    course: CourseOption = "cs1",
    tests: Tests = None,
    columns: Columns = None,
    reader: ReaderOptions = None,
    feedback: Feedback = "full",
    twice: Annotated[
        bool,
        typer.Option(
            "--twice", help="Run the program two times, and say so when the verdicts differ."
        ),
    ] = False,
    cpu_seconds: Annotated[
        float | None,
        typer.Option(
            help="End the program after this much CPU time, 0.01 to 10, all tests together "
            "(default: ten times what the first solution needs, without one 0.5).",
            show_default=False,
        ),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(
            metavar="RUNG",
            help="Refuse to grade in a weaker sandbox than this; from the strongest: full, "
            "no-landlock, no-namespaces, limits-only, not-a-sandbox (default: $NOVICEGYM_SANDBOX, "
            "else no-namespaces). `novicegym sandbox check` says which one this machine has.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Grade one program and print the feedback. Exit 0 when fully correct, 1 when not."""
    from novicegym.envs.render import printable
    from novicegym.grading.feedback import FEEDBACK_LEVELS, render_feedback
    from novicegym.grading.grader import Grader, Limits
    from novicegym.grading.rungs import required_rung
    from novicegym.grading.store import default_store

    if feedback not in FEEDBACK_LEVELS:
        raise unknown_name("feedback level", feedback, FEEDBACK_LEVELS)
    if cpu_seconds is not None and not 0.01 <= cpu_seconds <= 10:
        raise UsageError(f"--cpu-seconds takes 0.01 to 10, got {cpu_seconds:g}")
    code = _read_program(file)
    opened = LogOptions(tests=tests, columns=columns, reader=reader).open(course, quiet=True)
    with Grader(
        workers=1,
        limits=Limits(cpu_seconds=cpu_seconds),
        store=None if twice else default_store(),  # a stored verdict would not be run at all
        require=required_rung(require),
        twice=twice,
    ) as grader:
        verdict = grader.grade(opened.assignment(assignment), code)
    if not verdict.stable:
        ERR.print("not stable: a second run of the program gave another verdict")
    if as_json:
        print(json.dumps(verdict.to_json(), indent=2))
    else:
        print(printable(render_feedback(verdict, feedback)))
    if not verdict.correct:
        raise typer.Exit(1)


@takes_logs
def rollout(
    *,
    agent: Annotated[
        str,
        typer.Option(
            "--agent",
            help="logged, persistence, retrieval, reference, novice; hf:DIRECTORY or hf:ID, a "
            "language model (vllm: on CUDA); or MODULE:FACTORY of your own, called with "
            "(course, seed).",
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
        str, typer.Option(help="paper: from every t > 2; published: from every t > 0.")
    ] = "paper",
    feedback: Feedback = "full",
    code_format: Annotated[
        str, typer.Option(help="code: whole programs; dual: diffs for small edits.")
    ] = "code",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the agent.")] = 0,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Dialogs given to the agent at once.")
    ] = 256,
) -> None:
    """Play an agent in the students' seats and record every step.

    --split says which trajectories are played. The same command again completes an
    interrupted run.
    """
    from novicegym.dialogs.serialize import DialogFormat
    from novicegym.eval.rollouts import make_protocol

    # It refuses names that do not exist.
    fmt = DialogFormat(code=code_format, feedback=feedback)  # type: ignore[arg-type]
    rules = make_protocol(protocol, fmt)
    whole = replace(logs, split=None).open(course)
    played = take_splits(whole, logs.split)
    _warn_of_trained_on(agent, played)
    play_agent(
        played,
        take_splits(whole, learn_from),
        agent,
        out,
        protocol=rules,
        seed=seed,
        batch_size=batch_size,
        source=logs.source(course) | {"learn_from": learn_from},
    )
    ERR.print(f"records are in {out}; print them with: novicegym table {out}")


def table(
    runs: Annotated[list[Path], typer.Argument(help="Folders made by `novicegym rollout`.")],
    preset: Annotated[
        str,
        typer.Option(help="paper: unrounded, micro coverage; published: the released code's."),
    ] = "paper",
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print how close each agent comes to the students.

    Cov: share of the students' submissions that the agent has a counterpart to. GP: 1 minus the
    distance of the grades. CB: CodeBLEU. Each averaged over the steps k; the degradation is
    the mean of m_k - m_1 over the later steps.
    """
    if as_json + as_csv + as_markdown > 1:
        raise UsageError("choose one of --json, --csv and --markdown")
    results = tabulate(runs, preset)
    if as_json:
        print(json.dumps(results.to_json(), indent=2))
    elif as_csv:
        print(results.to_csv(), end="")
    elif as_markdown:
        print(results.to_markdown())
    else:
        OUT.print(results.to_rich())


def play_agent(
    played: Course,
    pool: Course,
    agent: str,
    out: Path,
    protocol: RolloutProtocol,
    seed: int,
    batch_size: int,
    source: Mapping[str, object],
) -> None:
    """Roll an agent out into `out`, with a progress bar; complete what an earlier run left."""
    from novicegym.agents.registry import make_agent
    from novicegym.courses.fingerprint import course_fingerprint
    from novicegym.eval.records import is_finished
    from novicegym.eval.rollouts import rollout as play_rollout

    # A console script does not look for a user's own MODULE:FACTORY where it is run.
    # Last, or a student's random.py there would stand in for the standard library's.
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    # The student herself learns from nobody: she is in the logs that are played.
    source_of_logs = played if agent == "logged" else pool
    was_finished = is_finished(out)
    with progress_bar(agent) as update:
        play_rollout(
            played,
            make_agent(agent, source_of_logs, seed=seed, fmt=protocol.rules.format),
            out,
            protocol=protocol,
            seed=seed,
            source={
                **source,
                "agent": agent,
                "agent_code": _own_code(agent),
                "pool": course_fingerprint(pool),
            },
            batch_size=batch_size,
            progress=update,
        )
    if was_finished:
        ERR.print(f"{out} was complete: nothing was played; delete it to play again")


def _warn_of_trained_on(agent: str, played: Course) -> None:
    """Say so when a model is to sit in for students whose logs it has learnt."""
    from novicegym.agents.model_files import find_model
    from novicegym.courses.selection import Selection
    from novicegym.runs import read_config

    kind, _, model = agent.partition(":")
    run = find_model(model).run if kind in _MODELS and model else None
    config = {} if run is None else read_config(run)
    if config.get("course") != played.name:
        return
    students = {pick.student_id for pick in Selection.everything(played).picks}
    known = students.intersection(config.get("trained_on", ()))
    if known:
        ERR.print(
            f"warning: {len(known):,} of the {len(students):,} students played are ones that "
            f"{run} was trained on, so it may remember them; hold some out with --split "
            "(students:0.2:seed=0:rest to train on, students:0.2:seed=0:first to play)"
        )


def _own_code(agent: str) -> str | None:
    """Return a hash of what makes an agent from outside: when it changes, it is another run.

    Of a user's own agent the file; of a model's directory all files, and those of an adapter name
    its base.
    """
    from novicegym.agents.model_files import find_model

    module, colon, rest = agent.partition(":")
    if not colon:
        return None
    if module in _MODELS:
        folder = Path(find_model(rest).named)
        return _model_hash(folder) if folder.is_dir() else None
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _model_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def tabulate(runs: list[Path], preset: str) -> ResultTable:
    """Return the table of runs, with CodeBLEU where it is installed."""
    from novicegym.eval.records import read_records
    from novicegym.eval.table import make_table
    from novicegym.rewards.codebleu import require_codebleu

    tables = [read_records(run) for run in runs]
    try:
        require_codebleu()
        with_codebleu = True
    except UsageError as missing:
        ERR.print(f"no CodeBLEU in this table: {missing}")
        with_codebleu = False
    with progress_bar("CodeBLEU") as update:
        return make_table(
            tables,
            names=list(map(str, runs)),
            preset=preset,
            with_codebleu=with_codebleu,
            workers=2,
            progress=update,
        )


def _read_program(file: str) -> str:
    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text (byte {error.start})") from None
