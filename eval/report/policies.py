"""Which runs belong together: several seeds of one policy are one row of a report.

Two runs are of one policy when their run.json differ in the seed alone. Covered: reading,
grouping, checking and naming runs. That they may be compared at all is checked by
`novicegym.eval.table.make_table`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from novicegym.errors import UsageError
from novicegym.eval.records import read_records, read_run
from novicegym.eval.table import ResultTable, make_table
from novicegym.runs import JsonDict, flat_config

STUDENTS = "logged"
"""The agent that is the students themselves, as it is asked for: it is the ceiling of the metrics,
and competes with nobody."""

TRIVIAL = ("persistence", "reference")
"""Agents, as asked for, that imitate nobody: what they score, a metric gives for nothing."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The runs of one policy, by ascending seed."""

    name: str
    """The agent's; with the folder of its first run where several policies have one agent."""
    agent: str
    seeds: tuple[int, ...]
    runs: tuple[Path, ...]
    tables: tuple[pa.Table, ...]
    """The episode records of each run."""
    is_students: bool
    """Whether it is the logged students."""
    is_trivial: bool
    """Whether it is one of TRIVIAL."""


def read_policies(runs: Sequence[Path]) -> tuple[list[Policy], ResultTable]:
    """Return the policies in the order their first runs are given, and what the runs share.

    The table is without CodeBLEU, a row a run. Raises UsageError for a folder that is not a
    finished run, runs that cannot be compared, two runs of one policy with one seed, and runs of
    the logged students alone.
    """
    tables = [read_records(run) for run in runs]
    # The checks of what may be compared live there; without CodeBLEU it costs little.
    checked = make_table(tables, names=list(map(str, runs)), with_codebleu=False)
    groups: dict[str, list[int]] = defaultdict(list)
    for number, run in enumerate(runs):
        groups[json.dumps(_settings(run), sort_keys=True)].append(number)
    policies = []
    namesakes = Counter(checked.rows[members[0]].agent for members in groups.values())
    for members in groups.values():
        members.sort(key=lambda number: checked.rows[number].seed)
        seeds = tuple(checked.rows[number].seed for number in members)
        for first, second in pairwise(members):
            if checked.rows[first].seed == checked.rows[second].seed:
                raise UsageError(
                    f"{runs[first]} and {runs[second]} are the same policy with the same seed "
                    f"{checked.rows[first].seed}; give one of them, or play one with another --seed"
                )
        agent = checked.rows[members[0]].agent
        policies.append(
            Policy(
                name=agent if namesakes[agent] == 1 else f"{agent} ({runs[members[0]]})",
                agent=agent,
                seeds=seeds,
                runs=tuple(runs[number] for number in members),
                tables=tuple(tables[number] for number in members),
                is_students=_asked_for(runs[members[0]]) == STUDENTS,
                is_trivial=_asked_for(runs[members[0]]) in TRIVIAL,
            )
        )
    if all(one.is_students for one in policies):
        raise UsageError(
            "a report compares policies with the students, and the runs given are of the logged "
            "students alone; add a run of another agent"
        )
    return policies, checked


def check_one_policy(runs: Sequence[Path]) -> None:
    """Raise UsageError unless the runs are of one policy: they differ in their seed alone."""
    first, *others = ((run, _settings(run)) for run in runs)
    for run, settings in others:
        changed = sorted(
            name
            for name in first[1].keys() | settings.keys()
            if first[1].get(name) != settings.get(name)
        )
        if changed:
            raise UsageError(
                f"{first[0]} and {run} have other settings in run.json ({', '.join(changed)}); "
                "runs that are taken together differ in their seed alone"
            )


def check_two_runs(run: Path, other: Path) -> None:
    """Raise UsageError for two runs of one policy with one seed: they are the same."""
    if read_run(run)["seed"] == read_run(other)["seed"] and _settings(run) == _settings(other):
        raise UsageError(
            f"{run} and {other} are the same policy with the same seed; there is no difference"
        )


def _settings(run: Path) -> JsonDict:
    """Return what makes the policy of a run: all that its run.json tells, but the seed."""
    return flat_config({name: value for name, value in read_run(run).items() if name != "seed"})


def _asked_for(run: Path) -> str:
    """Return the agent of a run as it was asked for: any agent may call itself "logged"."""
    config = read_run(run)
    agent: str = config.get("source", {}).get("agent", config["agent"])
    return agent
