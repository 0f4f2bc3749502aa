"""`novicegym cache ...`: look at, empty and check the verdicts kept on disk."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.table import Table

from novicegym.cli.options import OUT, Json, progress_bar
from novicegym.errors import GraderError, UsageError

if TYPE_CHECKING:
    from novicegym.grading.grader import Grader
    from novicegym.grading.limits import Limits
    from novicegym.grading.store import StoredRequest, VerdictStore
    from novicegym.grading.verdict import CaseResult, Verdict

    _Entry: TypeAlias = tuple[bytes, Verdict, StoredRequest]

app = typer.Typer(
    help="Look at, empty and check the verdicts kept on disk. "
    "They are in the folder $NOVICEGYM_CACHE, by default ~/.cache/novicegym; "
    "NOVICEGYM_CACHE=off keeps none.",
    no_args_is_help=True,
)

_PIECE = 256
"""Entries graded anew in one batch."""
_CLOCK_SECONDS = 1.1
"""Between two gradings of a program: one that reads the clock in whole seconds sees another."""


@app.command("stats")
def stats(as_json: Json = False) -> None:
    """Print how many verdicts are kept, of which grader versions."""
    numbers = _store().stats()
    document = asdict(numbers)
    document |= {
        name: None if at is None else at.isoformat(timespec="seconds")
        for name, at in (("oldest", numbers.oldest), ("newest", numbers.newest))
    }
    if as_json:
        print(json.dumps(document, indent=2))
        return
    table = Table("verdict store", numbers.path)
    table.add_row("verdicts", f"{numbers.entries:,}")
    table.add_row("test suites", f"{numbers.suites:,}")
    table.add_row("on disk", _megabytes(numbers.bytes_on_disk))
    table.add_row("oldest", document["oldest"] or "-")
    table.add_row("newest", document["newest"] or "-")
    for version, count in numbers.versions.items():
        table.add_row(f"of version {' '.join(version.split())}", f"{count:,}")
    OUT.print(table)


@app.command("clear")
def clear() -> None:
    """Remove all verdicts kept on disk."""
    store = _store()
    on_disk = store.bytes_on_disk()
    entries = store.clear()
    print(f"removed {entries:,} verdicts ({_megabytes(on_disk)}) from {store.path}")


@app.command("verify")
def verify(
    sample: Annotated[
        int, typer.Option(min=0, help="How many verdicts of this version to grade anew.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice.")] = 0,
    everything: Annotated[
        bool, typer.Option("--all", help="Grade all verdicts of this version anew.")
    ] = False,
) -> None:
    """Check the file and all its rows, and grade a sample anew.

    A program that gets another verdict than the stored one is graded once more, by new processes.
    When these two agree, the stored verdict is different. When they do not, the program is
    unstable: it looks at the clock, at real random numbers or at addresses, and says nothing of
    its row. Exit 1 when anything is damaged or different.
    """
    from novicegym.envs.render import printable
    from novicegym.grading.grader import Grader

    store = _store()
    if lines := store.check_file():  # its rows cannot be read one by one
        print(*lines, sep="\n")
        print(f"{store.path} is damaged: delete that file, and a new one is made")
        raise typer.Exit(1)
    with progress_bar("checking") as update:
        damaged = store.damaged_rows(update)
    for line in damaged:
        print(line)
    numbers = store.stats()
    with Grader(cache_size=0) as grader:
        versions = _current_versions(grader)
    own = sum(count for text, count in numbers.versions.items() if text in versions)
    chosen = store.sample(None if everything else sample, versions=versions, seed=seed)
    graded = different = 0
    was: dict[bytes, Verdict] = {}
    doubtful: list[_Entry] = []
    with progress_bar("grading") as update:
        for graded, ((key, stored, request), again) in enumerate(_graded_anew(chosen), 1):
            update(graded, own if everything else min(sample, own))
            if again != stored:
                was[key] = stored
                doubtful.append((key, again, request))
    if doubtful:
        time.sleep(_CLOCK_SECONDS)
    for (key, again, request), once_more in _graded_anew(doubtful):
        if once_more == again:
            different += 1
            name = printable(f"{key.hex()} ({request.assignment.id})")
            print(f"verdict {name}: {_difference(was[key], again)}")
    print(
        f"{numbers.entries:,} verdicts, {numbers.entries - own:,} of other versions; "
        f"{len(damaged):,} damaged; {graded:,} graded anew, {different:,} different, "
        f"{len(doubtful) - different:,} unstable"
    )
    if damaged or different:
        raise typer.Exit(1)


def _store() -> VerdictStore:
    from novicegym.grading.store import default_store

    store = default_store()
    if store is None:
        raise UsageError(
            "no verdicts are kept on disk: NOVICEGYM_CACHE is off, or you have no home"
        )
    return store


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f} MB"


def _current_versions(grader: Grader) -> set[str]:
    from novicegym.grading.grader import RUNNERS

    versions = set()
    for language in RUNNERS:
        with contextlib.suppress(GraderError):  # its interpreter is not on this machine
            versions.add(grader.version_text(language))
    return versions


def _graded_anew(entries: Iterable[_Entry]) -> Iterator[tuple[_Entry, Verdict]]:
    """Yield entries with the verdicts that new processes give, each under its own limits."""
    from novicegym.grading.grader import Grader

    graders: dict[Limits, Grader] = {}
    with contextlib.ExitStack() as stack:
        waiting = iter(entries)
        while piece := list(itertools.islice(waiting, _PIECE)):
            for limits in {request.limits: None for _, _, request in piece}:
                if limits not in graders:
                    graders[limits] = stack.enter_context(Grader(limits=limits, cache_size=0))
                group = [entry for entry in piece if entry[2].limits == limits]
                again = graders[limits].grade_batch(
                    [(request.assignment, request.code) for _, _, request in group]
                )
                yield from zip(group, again, strict=True)


def _difference(stored: Verdict, again: Verdict) -> str:
    """Return the first difference of two unequal verdicts in words."""
    pairs: list[tuple[str, Verdict | CaseResult, Verdict | CaseResult]] = []
    if len(stored.cases) == len(again.cases):
        cases = enumerate(zip(stored.cases, again.cases, strict=True), 1)
        pairs += [(f"test {number} ", *both) for number, both in cases]
    return next(
        f"{where}{field.name} was {_shown(old)}, is {_shown(new)}"
        for where, before, after in [*pairs, ("", stored, again)]
        for field in fields(before)
        if (old := getattr(before, field.name)) != (new := getattr(after, field.name))
    )


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 200 else text[:197] + "...")  # escapes what drives terminals
