"""The folder of a run: what made it, told in run.json, and files that are whole or not there.

Rollouts and training share it. A run is resumed by what made it: the same configuration.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

from novicegym import __version__
from novicegym.errors import UsageError

JsonDict: TypeAlias = dict[str, Any]

_ONLY_TOLD = "git"
"""A key of run.json that may differ when a run goes on: a commit need not touch what runs."""


def run_versions(*packages: str) -> dict[str, str]:
    """Return the versions a run's bytes depend on."""
    versions = {"novicegym": __version__, "python": platform.python_version()}
    return versions | {name: metadata.version(name) for name in packages}


def open_run(run: Path, config: Mapping[str, Any]) -> None:
    """Create the run folder with its run.json, or check that an existing one matches.

    Raises UsageError when the folder holds a run of another configuration, or anything else.
    """
    check_run(run, config)
    path = run / "run.json"
    if not path.exists():
        run.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def check_run(run: Path, config: Mapping[str, Any], *, unknown: Collection[str] = ()) -> None:
    """Raise UsageError where `open_run` would, and write nothing.

    unknown: dotted keys of which nothing is known yet, nor of what is below them.
    """
    if (run / "run.json").exists():
        existing = flat_config(read_config(run))
        wanted = flat_config(json.loads(json.dumps(config)))
        changed = sorted(
            key
            for key in existing.keys() | wanted.keys()
            if existing.get(key) != wanted.get(key)
            and not any(f"{key}.".startswith(f"{one}.") for one in (_ONLY_TOLD, *unknown))
        )
        if changed:
            raise UsageError(
                f"{run} holds a run with other settings ({', '.join(changed)}); "
                "choose another --out, or delete it to start anew"
            )
    elif run.is_dir() and any(run.iterdir()):
        raise UsageError(f"{run} holds other files and no run.json; choose another --out")


def read_config(run: Path) -> JsonDict:
    """Return what run.json tells; UsageError when there is none, or none that can be read."""
    path = run / "run.json"
    if not path.is_file():
        raise UsageError(
            f"{run} is not a run: it has no run.json; `novicegym rollout` and `train` make one"
        )
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged ({error}); delete the run and start anew") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path} is not that of a run; delete it and start anew")
    return config


def flat_config(config: Mapping[str, Any], prefix: str = "") -> JsonDict:
    """Return a configuration with dotted names, to say which settings differ."""
    flat: JsonDict = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flat_config(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave an empty file of this name
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
