"""One command a stage: from a course's logs and a model to a trained artificial student.

A stage holds out the students that the run it starts from held out, so that nobody who chooses a
checkpoint was ever trained on, whatever part of the course the stage is given. Covered: base,
sft, para, dpo, dapo, and from the tutor's chair sft and dapo. Not covered: rollouts of the result
(`eval`).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from novicegym.agents.base import Agent
from novicegym.agents.model_files import (
    MODEL,
    ModelFiles,
    find_model,
    trained_format,
)
from novicegym.agents.registry import make_agent
from novicegym.agents.tutors.language_model import NOTHING
from novicegym.agents.tutors.registry import make_tutor
from novicegym.courses.fingerprint import course_fingerprint
from novicegym.courses.model import Course
from novicegym.courses.selection import Selection
from novicegym.courses.splits import take_students
from novicegym.dialogs.serialize import open_dialog
from novicegym.dialogs.tutoring import tutor_dialog
from novicegym.dialogs.windows import fit_prompt
from novicegym.envs.episode import EpisodeRules
from novicegym.envs.partner import require_listening
from novicegym.errors import UsageError
from novicegym.grading.grader import GRADER_VERSION, Grader, shared_grader
from novicegym.runs import open_run, read_config, write_atomically
from novicegym.training.chairs import (
    Chair,
    StudentChair,
    TutorChair,
    read_reward,
    read_tutor_reward,
    tutor_rules,
)
from novicegym.training.logged import LoggedDialog, logged_dialogs, solution_dialogs
from novicegym.training.prefixes import draw_prefixes
from novicegym.training.processes import first_process_first, is_first_process
from novicegym.training.provenance import git_revision, held_out_students, trained_on, versions
from novicegym.training.recipes import (
    BaseRecipe,
    DapoRecipe,
    DpoRecipe,
    OnPolicyRecipe,
    ParaRecipe,
    Recipe,
    SftRecipe,
    TutorDapoRecipe,
    TutorSftRecipe,
    to_json,
)
from novicegym.training.tutored import tutored_dialogs

if TYPE_CHECKING:
    from novicegym.training.models import LoadedModel

Bar: TypeAlias = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar of that name; what it yields is called with (done, in all)."""

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class _Data:
    """What a stage learns from."""

    training: Course
    logged: Sequence[list[LoggedDialog]]
    """The dialogs of the students who train, and of those held out where they choose."""
    grader: Grader
    other: Agent | None
    """Who sits in the other chair, or is learnt from in the tutor's: see `_other_chair`."""


def train(
    recipe: Recipe,
    course: Course,
    out: Path,
    *,
    bar: Bar,
    source: Mapping[str, object] | None = None,
    resume: bool = False,
    grader: Grader | None = None,
) -> Path:
    """Run one stage; return the folder of the trained model.

    source: how the course was named and cut, recorded. Raises UsageError for settings that
    cannot work together, a folder that holds another run, and what runs out of memory.
    """
    finished = out / MODEL
    begun = (out / "run.json").exists()
    if not recipe.model:
        raise UsageError(
            "the recipe names no model to start from: --model DIRECTORY; `novicegym model init` "
            "makes one"
        )
    files = find_model(recipe.model)
    _require_format(recipe, files)
    before = {} if files.run is None else read_config(files.run)
    held_out = held_out_students(course, recipe, before)
    validation, training = take_students(course, held_out)
    _require_both(recipe, training, validation)
    config = {
        "kind": "training",
        "recipe": to_json(recipe),
        "model_trained_with": before.get("recipe"),
        "course": course.name,
        "source": dict(source or {}),
        "synthetic": course.synthetic,
        "fingerprint": course_fingerprint(course),
        "trajectories": len(training.trajectories),
        "validation_trajectories": len(validation.trajectories),
        "held_out": held_out,
        "trained_on": trained_on(training, before),
        "versions": versions() | {"grader": GRADER_VERSION},
        "git": git_revision(),
    }
    with first_process_first():
        if is_first_process():
            if begun and not resume:
                raise UsageError(f"{out} holds a run; go on with --resume, or choose another --out")
            open_run(out, config)
    if finished.exists():
        return finished
    bar = bar if is_first_process() else _no_bar
    try:
        # What cannot be loaded and which assignments have no room is told before any grading.
        loaded = _load(recipe)
        _require_room(recipe, loaded, training if isinstance(recipe, OnPolicyRecipe) else course)
        grader = grader or shared_grader()
        other = _other_chair(recipe, training, grader)
        with first_process_first():  # the others find its verdicts in the store
            data = _read_logs(recipe, loaded, training, validation, grader, other, bar)
        _fit(recipe, loaded, data, out, bar, resume)
    except Exception as error:
        if not begun and is_first_process() and _is_worthless(out, error):
            shutil.rmtree(out)  # other settings may then go into the same folder
        raise
    return finished


def _load(recipe: Recipe) -> LoadedModel:
    """Load the model. Imported here: torch takes seconds, and many mistakes are told without it."""
    if recipe.backend == "unsloth":
        from novicegym.training.models import import_unsloth

        import_unsloth()
    _quieten()
    import torch

    from novicegym.training.fit import told_when_memory_is_short
    from novicegym.training.models import load_model

    torch.manual_seed(recipe.seed)  # a new adapter starts from this state
    with told_when_memory_is_short(recipe):
        return load_model(
            recipe.model,
            adapter=recipe.adapter,
            backend=recipe.backend,
            lora_rank=recipe.lora_rank,
            lora_alpha=recipe.lora_alpha,
            lora_dropout=recipe.lora_dropout,
            context=recipe.context,
        )


def _fit(
    recipe: Recipe, loaded: LoadedModel, data: _Data, out: Path, bar: Bar, resume: bool
) -> None:
    """Train the model on the data."""
    from novicegym.training.fit import fit, told_when_memory_is_short
    from novicegym.training.models import precision_kept

    with told_when_memory_is_short(recipe):
        with precision_kept(loaded.model):
            trainer = _make_trainer(recipe, loaded, data, out)
        with bar(recipe.stage) as progress:
            fit(trainer, out, out / MODEL, resume=resume, progress=progress)


def _is_worthless(out: Path, error: Exception) -> bool:
    """Whether a run that an error ended has nothing to go on from and nothing to learn from.

    What a step said before a crash is kept; a mistake in the settings has been told in its error.
    """
    from novicegym.training.fit import METRICS, last_checkpoint

    said = (out / METRICS).exists()
    return last_checkpoint(out) is None and (isinstance(error, UsageError) or not said)


def _require_room(recipe: Recipe, loaded: LoadedModel, course: Course) -> None:
    """Raise UsageError for an assignment of a trajectory that leaves no room in the context."""
    reserve = recipe.completion if isinstance(recipe, OnPolicyRecipe) else 0
    is_tutors = isinstance(recipe, TutorSftRecipe | TutorDapoRecipe)
    for name in dict.fromkeys(pick.assignment_id for pick in Selection.everything(course).picks):
        assignment = course.assignment(name)
        opened = open_dialog(assignment, recipe.format)
        if is_tutors:
            opened = tutor_dialog(assignment, [], [], recipe.format, 0)
        fit_prompt(opened, recipe.context, loaded.dialogs, name, reserve=reserve)


def _require_both(recipe: Recipe, training: Course, validation: Course) -> None:
    chooses = not isinstance(recipe, OnPolicyRecipe)
    if training.trajectories and (validation.trajectories or not chooses):
        return
    there, missing = ("all", "others") if validation.trajectories else ("none", "some of them")
    raise UsageError(
        f"{there} of the students in this part of the course were held out by the run that "
        f"{recipe.model} comes from (its run.json names them); take a part with {missing}"
    )


@contextmanager
def _no_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def _quieten() -> None:
    """Leave the terminal to our bar: the libraries' own bars and advice are no news here."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing. is deprecated")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the loader's threads warn else


def _other_chair(recipe: Recipe, course: Course, grader: Grader) -> Agent | None:
    """Return the student that a tutor learns with, or the tutor that one learns from."""
    if isinstance(recipe, TutorDapoRecipe):
        read_tutor_reward(recipe.tutor_reward)  # told now
        student = make_agent(recipe.student, course, recipe.seed, grader=grader, fmt=recipe.format)
        require_listening(student)
        return student
    if isinstance(recipe, TutorSftRecipe):
        return make_tutor(recipe.tutor, course, recipe.seed, grader=grader)
    return None


def _read_logs(
    recipe: Recipe,
    loaded: LoadedModel,
    training: Course,
    validation: Course,
    grader: Grader,
    other: Agent | None,
    bar: Bar,
) -> _Data:
    parts: list[list[LoggedDialog]] = []
    if isinstance(recipe, BaseRecipe):
        learnt: list[LoggedDialog] = []
        for part in (training, validation):
            with bar("grading") as progress:
                parts.append(
                    solution_dialogs(
                        part,
                        grader,
                        recipe.format,
                        seed=recipe.seed,
                        without=learnt,
                        progress=progress,
                    )
                )
            learnt = parts[0]
        if not parts[1]:
            raise UsageError(
                "every correct program of the students held out is one of the others', too: none "
                f"is left to choose a checkpoint by; give a larger part of the course, hold out "
                f"more than {recipe.validation} (--set validation=SHARE), or go without a base: "
                "sft can start from the new model"
            )
    else:
        # Episodes are played by those who train alone; no checkpoint is chosen.
        for part in (training,) if isinstance(recipe, OnPolicyRecipe) else (training, validation):
            with bar("grading") as progress:
                logged = logged_dialogs(part, grader, recipe.format, progress=progress)
            if isinstance(recipe, TutorSftRecipe):
                assert other is not None
                starts = draw_prefixes(part, logged, positions=recipe.positions, seed=recipe.seed)
                with bar(f"asking {other.name}") as progress:
                    logged = tutored_dialogs(
                        starts,
                        other,
                        grader,
                        recipe.format,
                        silence=_silence(loaded),
                        progress=progress,
                    )
            parts.append(logged)
    return _Data(training, parts, grader, other)


def _silence(loaded: LoadedModel) -> str:
    """Return what the model says for nothing; `agents.tutors.language_model` reads it so."""
    return "" if loaded.dialogs.takes_empty_turns else NOTHING


def _make_trainer(recipe: Recipe, loaded: LoadedModel, data: _Data, out: Path) -> Any:
    if isinstance(recipe, BaseRecipe | SftRecipe | ParaRecipe):
        return _supervised(recipe, loaded, data, out)
    if isinstance(recipe, DpoRecipe):
        return _preference(recipe, loaded, data, out)
    assert isinstance(recipe, OnPolicyRecipe)
    return _on_policy(recipe, loaded, data, out)


def _supervised(recipe: Recipe, loaded: LoadedModel, data: _Data, out: Path) -> Any:
    from novicegym.training.rows import make_rows
    from novicegym.training.sft import make_sft_trainer

    training, validation = _for_both(
        recipe, data, lambda logged: make_rows(logged, loaded.dialogs, recipe.context)
    )
    _tell(out, training=training.summary(), validation=validation.summary())
    return make_sft_trainer(recipe, loaded, training.rows, validation.rows, out)


def _preference(recipe: DpoRecipe, loaded: LoadedModel, data: _Data, out: Path) -> Any:
    from novicegym.training.dpo import make_dpo_trainer
    from novicegym.training.pairs import EncodedPairs, encode_pairs, mine_pairs

    def pairs(logged: list[LoggedDialog]) -> EncodedPairs:
        mined = mine_pairs(
            logged,
            strategy=recipe.strategy,
            first_submission=recipe.first_submission,
            seed=recipe.seed,
        )
        return encode_pairs(mined, loaded.dialogs, recipe.context, recipe.format)

    training, validation = _for_both(recipe, data, pairs)
    _tell(out, training=training.summary(), validation=validation.summary())
    return make_dpo_trainer(recipe, loaded, training.rows, validation.rows, out)


def _on_policy(recipe: OnPolicyRecipe, loaded: LoadedModel, data: _Data, out: Path) -> Any:
    from novicegym.training.dapo import make_dapo_trainer, with_room

    starts = draw_prefixes(
        data.training, data.logged[0], positions=recipe.positions, seed=recipe.seed
    )
    chair, drawn = _chair(recipe, loaded, data), len(starts)
    if isinstance(recipe, TutorDapoRecipe):  # a student's prompt gives way to any length
        starts = with_room(starts, recipe, loaded.dialogs, chair)
    _tell(out, training={"prefixes": len(starts), "too_long": drawn - len(starts)})
    return make_dapo_trainer(recipe, loaded, starts, out, chair=chair)


def _chair(recipe: OnPolicyRecipe, loaded: LoadedModel, data: _Data) -> Chair:
    if isinstance(recipe, TutorDapoRecipe):
        assert data.other is not None
        return TutorChair(
            data.other,
            read_tutor_reward(recipe.tutor_reward),
            tutor_rules(recipe.horizon, recipe.format),
            data.grader,
            data.training,
            silence=_silence(loaded),
        )
    assert isinstance(recipe, DapoRecipe)
    reward = read_reward(recipe.reward, recipe.completion)
    rules = EpisodeRules(horizon=recipe.horizon, format=recipe.format)
    return StudentChair(reward, rules, data.grader)


def _for_both(
    recipe: Recipe, data: _Data, make: Callable[[list[LoggedDialog]], _Made]
) -> tuple[_Made, _Made]:
    """Return what is made of the training students' dialogs, and of those held out."""
    training = make(data.logged[0])
    try:
        return training, make(data.logged[1])
    except UsageError as error:
        raise UsageError(
            f"of the students held out to choose a checkpoint: {error}; give a larger part of the "
            "course, or hold out more in the chain's first stage (--set validation=SHARE)"
        ) from None


def _tell(out: Path, **parts: dict[str, Any]) -> None:
    """Write what the logs became beside the run: counts, and what was left out and why."""
    if is_first_process():
        write_atomically(out / "data.json", (json.dumps(parts, indent=2) + "\n").encode())


def _require_format(recipe: Recipe, files: ModelFiles) -> None:
    """Refuse to go on with a model on dialogs written otherwise than its run's."""
    trained = trained_format(files, recipe.format)
    if trained is None or trained == recipe.format:
        return
    told = f"feedback={trained.feedback}", f"code={trained.code}"
    to_do = f"add --set {' --set '.join(told)}"
    if isinstance(recipe, ParaRecipe) and trained.feedback != "none":
        to_do = "start para from what that run started from"
    elif isinstance(recipe, SftRecipe) and trained.feedback == "none":
        to_do += "; without feedback it is PARA, which `train para` goes on with"
    raise UsageError(
        f"{files.run} was trained with {' and '.join(told)}, this recipe says otherwise; {to_do}"
    )
