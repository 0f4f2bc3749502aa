"""What one message does to the simulated beginner's next submission, by her ability.

    python benchmarks/novice_hints.py [--course cs1] [--states 200] [--students 4] [--seed 0]

States are wrong submissions drawn from the logs of a course whose assignments have solutions. Into
each sit down the same students with the same random numbers under every message: none; one that
names a line of a fault ("right"); one that names a line without ("wrong"); a solution shown; what
each tutor of ours says. Printed, as Markdown, for each third of the students by ability:

- repairs: share of next submissions with fewer faults than before, or correct
- correct: share of next submissions that pass all tests
- same: share that are to the character what they are without a message

What comes out is what the process model assumes (`novicegym/agents/novice_listening.py`), with
what the states leave of it. It says nothing of real students.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from novicegym.agents.novice import fixed_names, read_dialog
from novicegym.agents.novice_faults import Fault, find_faults, gap, nearest
from novicegym.agents.novice_hints import read_hint
from novicegym.agents.novice_process import next_submission
from novicegym.agents.novice_student import Process, Shown, draw_novice
from novicegym.agents.novice_style import adopt_names
from novicegym.agents.tutors.registry import TUTORS, make_tutor
from novicegym.courses.load import load_course
from novicegym.courses.model import Course
from novicegym.dialogs.fences import fence
from novicegym.envs.episode import Episode, EpisodeRules, Start, begin
from novicegym.grading.grader import Grader

NONE = "no message"
THIRDS = ("lowest third", "middle third", "highest third", "all")


class State(NamedTuple):
    """A wrong submission as a student finds it who sits down there."""

    episode: Episode
    submitted: list[str]
    shown: Shown
    known: list[str]
    target: str
    faults: list[Fault]
    messages: dict[str, str]


class Next(NamedTuple):
    """One next submission."""

    third: int
    repairs: bool
    correct: bool
    same: bool


def main() -> int:
    """Draw, play and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--course", default="cs1")
    parser.add_argument("--states", type=int, default=200)
    parser.add_argument("--students", type=int, default=4, help="in each state")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    course = load_course(options.course)
    with Grader() as grader:
        states = draw_states(course, options.states, options.seed, grader)
        table = play(states, options.students, options.seed, grader)
    print(f"{len(states)} states, {options.students} students in each\n")
    print(
        "| message | said | " + " | ".join(f"{name}: repairs, correct" for name in THIRDS), end=""
    )
    print(" | same |\n|---|---|" + "---|" * (len(THIRDS) + 1))
    for arm, results in table.items():
        said = sum(bool(state.messages.get(arm)) for state in states) / len(states)
        cells = []
        for third in range(len(THIRDS)):
            of = [one for one in results if third in (one.third, len(THIRDS) - 1)]
            repairs, correct = (share([getattr(one, k) for one in of]) for k in Next._fields[1:3])
            cells.append(f"{repairs}, {correct}")
        same = share([one.same for one in results])
        print(f"| {arm} | {said:.0%} | {' | '.join(cells)} | {same} |")
    return 0


def draw_states(course: Course, count: int, seed: int, grader: Grader) -> list[State]:
    """Return wrong submissions that differ from a solution, at most one of a trajectory."""
    rng = np.random.default_rng([seed, 0])
    starts = [
        Start.at(course, trajectory, int(rng.integers(1, len(trajectory.submissions))))
        for trajectory in course.trajectories
        if len(trajectory.submissions) > 1 and course.assignment(trajectory.assignment_id).solutions
    ]
    chosen = [starts[int(place)] for place in rng.permutation(len(starts))[: 2 * count]]
    episodes = begin(chosen, EpisodeRules(), grader)
    tutors = {name: make_tutor(name, course, grader=grader) for name in TUTORS if name != "silent"}
    infos = [episode.info(reveal=False) for episode in episodes]
    dialogs = [episode.tutor_dialog() for episode in episodes]
    said = {name: tutor.act(dialogs, infos) for name, tutor in tutors.items()}
    states: list[State] = []
    for place, episode in enumerate(episodes):
        assignment = episode.start.assignment
        submitted, shown = read_dialog(episode.dialog())
        names = fixed_names(assignment)
        known = [adopt_names(one, submitted[-1], names) for one in assignment.solutions]
        target = nearest(submitted[-1], known)
        assert target is not None, "an assignment with solutions"
        faults = find_faults(submitted[-1], target)
        lines = range(1, submitted[-1].rstrip().count("\n") + 2)
        free = [line for line in lines if all(gap(fault, line) > 0 for fault in faults)]
        if not (faults and free):
            continue
        fault = faults[int(rng.integers(len(faults)))]
        messages = {
            NONE: "",
            "right": f"Look at line {min(fault.start + 1, len(lines))} again.",
            "wrong": f"Look at line {free[int(rng.integers(len(free)))]} again.",
            "shown": fence("python", target.rstrip()),
        }
        messages |= {f"tutor `{name}`": answers[place] for name, answers in said.items()}
        states.append(State(episode, submitted, shown, known, target, faults, messages))
    return states[:count]


def play(
    states: Sequence[State], students: int, seed: int, grader: Grader
) -> dict[str, list[Next]]:
    """Return by message what the students do next, in the same order under each."""
    process = Process()
    novices = [draw_novice(np.random.default_rng([seed, 1, k]), process) for k in range(10_000)]
    cuts = np.quantile([novice.ability for novice in novices], [1 / 3, 2 / 3])
    table: dict[str, list[Next]] = {arm: [] for arm in states[0].messages}
    for number, state in enumerate(states):
        sitting = range(number * students, (number + 1) * students)
        without: list[str] = []
        for arm, message in state.messages.items():
            shown = state.shown._replace(hint=read_hint(message))
            codes = [
                next_submission(
                    novices[k % len(novices)],
                    state.submitted,
                    shown,
                    state.known,
                    np.random.default_rng([seed, 2, k]),
                    process,
                )
                for k in sitting
            ]
            without = without or codes
            verdicts = grader.grade_batch(
                [(state.episode.start.assignment, code) for code in codes]
            )
            for k, code, verdict, other in zip(sitting, codes, verdicts, without, strict=True):
                table[arm].append(
                    Next(
                        third=int(np.searchsorted(cuts, novices[k % len(novices)].ability)),
                        repairs=verdict.correct
                        or len(find_faults(code, state.target)) < len(state.faults),
                        correct=verdict.correct,
                        same=code == other,
                    )
                )
    return table


def share(values: Sequence[bool]) -> str:
    """Return the share of true values in percent."""
    return f"{np.mean(values):.0%}" if values else "none"


if __name__ == "__main__":
    sys.exit(main())
