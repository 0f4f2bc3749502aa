"""Agents and tutors that a command names: what can be said of them before they are made.

Covered: slips in a name, told before a course is opened, and modules of a user's own, found where
the command is run and read; what run.json says of a policy from outside; a warning for a model that
plays students it was trained on. Not covered: making them, which is `novicegym.agents.registry`
and `novicegym.agents.tutors.registry`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from novicegym.cli.options import ERR
from novicegym.errors import UsageError

if TYPE_CHECKING:
    from novicegym.courses.model import Course


def require_agent(agent: str, kind: str = "agent") -> None:
    """Raise UsageError for an agent that does not exist; `kind`: what to call it.

    A module where the command is run can be imported from now on, and is.
    """
    from novicegym.agents.registry import describe_agents

    _require(kind, agent, [name for name, _ in describe_agents()])


def require_tutor(tutor: str, *, on_ray: bool = False) -> None:
    """Raise UsageError for a tutor that does not exist, or is not for where it is to play.

    A module where the command is run can be imported from now on, and is.
    """
    from novicegym.agents.registry import WITH_FILES
    from novicegym.agents.tutors.registry import TUTORS, who_speaks

    speaker = who_speaks(tutor)
    _require("tutor", speaker, [*TUTORS, "on_request:TUTOR"])
    if on_ray and speaker.partition(":")[0] in WITH_FILES:
        raise UsageError(
            f"tutor {tutor!r} is a local model, of which every env worker on Ray would load a copy "
            "without a GPU; play it without --ray"
        )


def is_behind_api(policy: str) -> bool:
    """Return whether what `policy` names is asked over a network."""
    from novicegym.agents.tutors.registry import who_speaks

    return who_speaks(policy).startswith("openai:")


def is_own(tutor: str) -> bool:
    """Return whether a tutor is made by a user's factory."""
    from novicegym.agents.registry import is_language_model
    from novicegym.agents.tutors.registry import who_speaks

    speaker = who_speaks(tutor)
    return ":" in speaker and not is_language_model(speaker)


def own_code(policy: str) -> str | None:
    """Return a hash of what makes a policy that exists: when it changes, it is another run.

    Of a user's own the file; of a model's directory all files, and those of an adapter name
    its base. None of a model behind an API, which is told by how it is asked.
    """
    from novicegym.agents.model_files import find_model
    from novicegym.agents.registry import WITH_FILES
    from novicegym.agents.tutors.registry import who_speaks

    module, _, rest = who_speaks(policy).partition(":")
    if not rest or is_behind_api(policy):
        return None
    if module in WITH_FILES:
        folder = Path(find_model(rest).named)
        return _model_hash(folder) if folder.is_dir() else None
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def warn_of_trained_on(agent: str, played: Course) -> None:
    """Say so when a model is to sit in for students whose logs it has learnt."""
    from novicegym.agents.model_files import find_model
    from novicegym.agents.registry import WITH_FILES
    from novicegym.courses.selection import Selection
    from novicegym.runs import read_config

    kind, _, model = agent.partition(":")
    run = find_model(model).run if kind in WITH_FILES and model else None
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


def _require(kind: str, policy: str, ours: Sequence[str]) -> None:
    """Raise UsageError for what is nobody's name, and what is not there: folder, key, factory."""
    from novicegym.agents.model_files import find_model
    from novicegym.agents.registry import (
        WITH_FILES,
        find_factory,
        load_language_model,
        require_known,
    )

    require_known(kind, policy, ours)
    source, _, rest = policy.partition(":")
    if source in WITH_FILES:
        find_model(rest)
    elif source == "openai":
        load_language_model(policy, 0, 0.0, 1.0)  # it asks nothing yet
    elif policy not in ours:
        _find_own_modules()
        find_factory(kind, policy)


def _find_own_modules() -> None:
    """Let MODULE:FACTORY name a file where the command is run: a console script looks elsewhere.

    Last, or a student's random.py there would stand in for the standard library's.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def _model_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
