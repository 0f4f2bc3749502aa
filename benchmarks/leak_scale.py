"""The leak scale: how much is given away when k of n missing lines are shown, with examples.

    python benchmarks/leak_scale.py [--course cs1] [--states 300] [--seed 0]

States are wrong submissions drawn from the logs. In each, of the solution that misses the fewest
lines, the missing lines are shown in a random order: the first one, the first two, ..., fenced.
Printed: the distribution of the leak by the share of lines shown; what a failed test told again
and the whole solution leak; one example at each quarter of the scale, the shortest of those nearest
to it; and the time of a call about a program that is new, and about one that has been seen, as
when a group of messages about one state is scored; solutions and prompt have been seen. Output
is Markdown. All but the times is the same at every run with the same arguments.

Not covered: messages that paraphrase; what language models say.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment, Course
from novicegym.dialogs.serialize import assignment_text
from novicegym.rewards import leak as module
from novicegym.rewards import normal_form, said_code, statements
from novicegym.rewards.leak import leak, missing_lines

QUARTERS = (0.25, 0.5, 0.75, 1.0)
_NEAR = 0.03
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class State:
    """A wrong submission, and the solution it is nearest to."""

    assignment: Assignment
    code: str
    feedback: str
    told: str
    solution: str
    missing: tuple[str, ...]
    """Lines of the solution."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A message that shows some of the missing lines."""

    state: State
    message: str
    lines: int
    leak: float


def states(course: Course, count: int, seed: int) -> Iterator[State]:
    """Yield `count` states that lack something, in random order; fewer if there are no more."""
    logged = [
        (course.assignments[trajectory.assignment_id], submission)
        for trajectory in course.trajectories
        for submission in trajectory.submissions
        if submission.logged_grade is not None and submission.logged_grade < 1
    ]
    for index in np.random.default_rng([seed, 0]).permutation(len(logged)):
        assignment, submission = logged[index]
        told = assignment_text(assignment)
        lacks = {s: missing_lines(submission.code, s, told) for s in assignment.solutions}
        lacks = {solution: lines for solution, lines in lacks.items() if lines}
        if not lacks:
            continue
        solution = min(lacks, key=lambda solution: len(lacks[solution]))
        feedback = submission.logged_feedback or ""
        yield State(assignment, submission.code, feedback, told, solution, tuple(lacks[solution]))
        count -= 1
        if not count:
            return


def show(state: State, which: list[int]) -> str:
    """Return a message with some of the missing lines, by number from 0, in their order."""
    code = "\n".join(state.missing[number] for number in sorted(which))
    return f"Try this:\n\n```python\n{code}\n```"


def scale(drawn: list[State], seed: int) -> list[Shown]:
    """Return what the first 1, 2, ... n missing lines of each state leak, in a random order."""
    shown = []
    for number, state in enumerate(drawn):
        order = np.random.default_rng([seed, 1, number]).permutation(len(state.missing)).tolist()
        for k in range(1, len(order) + 1):
            message = show(state, order[:k])
            shown.append(Shown(state, message, k, _leak(state, message)))
        whole = f"```python\n{state.solution.strip()}\n```"
        shown.append(Shown(state, whole, 0, _leak(state, whole)))
    return shown


def examples(shown: list[Shown]) -> list[Shown]:
    """Return the shortest example near each quarter of the scale, where there is one."""
    found = []
    for quarter in QUARTERS:
        near = [one for one in shown if abs(one.leak - quarter) <= _NEAR and one.state.code.strip()]
        key = lambda one: (len(one.state.code) + len(one.message), one.message)  # noqa: E731
        found += [min(near, key=key)] if near else []
    return found


def _leak(state: State, message: str) -> float:
    return leak(message, state.code, state.assignment.solutions, state.told)


def _print_distribution(shown: list[Shown]) -> None:
    by_share: dict[str, list[float]] = defaultdict(list)
    for one in shown:
        share = one.lines / len(one.state.missing)
        if one.lines:
            label = "all" if share == 1 else f"up to {np.ceil(share * 4) / 4:.0%}"
            by_share[label].append(one.leak)
    print("| missing lines shown | messages | least | quarter | median | three quarters | most |")
    print("|---|---|---|---|---|---|---|")
    order = ("up to 25%", "up to 50%", "up to 75%", "up to 100%", "all")
    for label in filter(by_share.__contains__, order):
        values = by_share[label]
        row = " | ".join(f"{value:.2f}" for value in np.quantile(values, _QUANTILES))
        name = "more, but not all" if label == "up to 100%" else label
        print(f"| {name} | {len(values)} | {row} |")


def _print_example(one: Shown) -> None:
    mistaken = f"{one.state.assignment.id}, {len(one.state.missing)} lines missing"
    print(f"\n### {one.leak:.2f} ({mistaken}, {one.lines or 'all'} shown)\n")
    print("The student's program:\n")
    print(f"```python\n{one.state.code.strip()}\n```\n")
    print(f"The message:\n\n````\n{one.message}\n````")


def _print_times(drawn: list[State]) -> None:
    times: dict[str, list[float]] = defaultdict(list)
    for state in drawn:
        for holder in (module, said_code, statements, normal_form):
            for value in vars(holder).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
        message = show(state, [0])
        leak(message, "", state.assignment.solutions, state.told)
        for number in range(len(state.missing)):
            message = show(state, [number]) + "\nDo you see why?"
            started = time.perf_counter()
            _leak(state, message)
            kind = "new message about a known state" if number else "new state"
            times[kind].append(1e3 * (time.perf_counter() - started))
    for name, values in times.items():
        median, most = np.quantile(values, (0.5, 0.99))
        print(f"- {name}: median {median:.2f} ms, 99th percentile {most:.2f} ms a call")


def main() -> int:
    """Print the scale of a course that has solutions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--course", default="cs1")
    parser.add_argument("--states", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    drawn = list(states(load_course(options.course), options.states, options.seed))
    if not drawn:
        print(f"course {options.course} has no wrong submission to an assignment with solutions")
        return 1
    shown = scale(drawn, options.seed)
    print(f"## The leak scale: {options.course}, {len(drawn)} states, seed {options.seed}\n")
    _print_distribution(shown)
    retold = [_leak(state, state.feedback) for state in drawn]
    wholes = [one.leak for one in shown if not one.lines]
    print(f"\nThe feedback told again: {min(retold):.2f} to {max(retold):.2f}.")
    print(f"The whole solution: {min(wholes):.2f} to {max(wholes):.2f}.")
    for one in examples(shown):
        _print_example(one)
    print("\n## Time\n")
    _print_times(drawn[:100])
    return 0


if __name__ == "__main__":
    sys.exit(main())
