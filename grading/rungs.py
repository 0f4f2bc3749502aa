"""The ladder of isolation: which rung the layers in force make, and the refusal below a rung.

    full            its own namespaces and file tree, a foreign uid or a user namespace, Landlock,
                    a system-call allow-list, limits
    no-landlock     the same without Landlock (Linux before 5.13)
    no-namespaces   Landlock, the allow-list and limits, but the machine's process table, network
                    and file names stay visible (Docker's default profile, user namespaces off)
    limits-only     limits on memory and files, and whatever else the system allows
    not-a-sandbox   a fresh process for every submission and no isolation (macOS, Windows)

Grading below the required rung is refused. The layers are described in lockdown.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

from novicegym.errors import GraderError, unknown_name

Rung: TypeAlias = Literal["full", "no-landlock", "no-namespaces", "limits-only", "not-a-sandbox"]
RUNGS: tuple[Rung, ...] = get_args(Rung)
"""From the strongest to the weakest."""
LAYERS = frozenset(
    {
        *("pid", "net", "ipc", "uts", "mount", "user", "uid"),
        *("no_new_privs", "rlimits", "processes", "landlock", "seccomp"),
    }
)
"""All layers there are, by the names in lockdown.py."""
DEFAULT_RUNG: Rung = "no-namespaces"
"""Required unless a caller, or NOVICEGYM_SANDBOX in the environment, says otherwise."""

_LIMITS = {"no_new_privs", "rlimits"}
_NAMESPACES = {"pid", "net", "ipc", "uts", "mount"}
_NEEDED: dict[Rung, set[str]] = {
    "full": _LIMITS | _NAMESPACES | {"landlock", "seccomp"},
    "no-landlock": _LIMITS | _NAMESPACES | {"seccomp"},
    "no-namespaces": _LIMITS | {"landlock", "seccomp"},
    "limits-only": _LIMITS,
    "not-a-sandbox": set(),
}


def rung_of(layers: Iterable[str]) -> Rung:
    """Return the highest rung whose layers are all in force."""
    present = set(layers)
    apart = bool(present & {"uid", "user"})
    return next(
        rung
        for rung, needed in _NEEDED.items()
        if needed <= present and (apart or not needed & _NAMESPACES)
    )


def required_rung(asked: str | None = None) -> Rung:
    """Return the rung to require: the one asked for, else the environment's, else the default."""
    name = asked or os.environ.get("NOVICEGYM_SANDBOX") or DEFAULT_RUNG
    if name not in RUNGS:
        kind = "rung of isolation" if asked else "rung of isolation in NOVICEGYM_SANDBOX"
        raise unknown_name(kind, name, RUNGS)
    return name


def reaches(rung: Rung, required: Rung) -> bool:
    """Whether a rung is as strong as the required one, or stronger."""
    return RUNGS.index(rung) <= RUNGS.index(required)


def refuse_below(required: Rung, layers: Iterable[str]) -> None:
    """Raise GraderError when the layers make a rung below the required one."""
    present = set(layers)
    rung = rung_of(present)
    if reaches(rung, required):
        return
    missing = ", ".join(sorted(_NEEDED[required] - present)) or "a foreign uid or user namespace"
    raise GraderError(
        f"the isolation in force here is {rung!r}, below the required {required!r} (missing: "
        f"{missing}). Grading runs other people's programs: to do it all the same, where you "
        f"trust them or nothing is at stake, set NOVICEGYM_SANDBOX={rung} or pass "
        f"require={rung!r}. `novicegym sandbox check` shows what would get through"
    )
