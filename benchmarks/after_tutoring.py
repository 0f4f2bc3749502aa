"""What simulated students can do once the tutor is gone: the rewards post_solve and retention.

    python benchmarks/after_tutoring.py [TUTOR ...] [--course cs1] [--n 400] [--samples 8]
                                        [--cure 0.5] [--seed 0]

The trial of `novicegym tutor compare` is played in memory: the same students, starts and random
numbers under every tutor. After each episode the student is asked for programs to the same
assignment (post_solve: the share that is correct) and for a first submission to the next
assignment with a concept of this one (retention: its grade). Episodes without such an assignment
are left out of the second. Printed, as Markdown, are means and differences from the first tutor,
with 95 % intervals by student.

What comes out is what the process model assumes (`agents/novice_memory.py`): `--cure 0` says what
there is without that assumption.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from novicegym.agents.base import Agent
from novicegym.agents.novice import NoviceAgent
from novicegym.agents.novice_student import Process
from novicegym.agents.tutors.registry import TUTORS, make_tutor
from novicegym.courses.load import load_course
from novicegym.courses.model import Course
from novicegym.envs.afterwards import Afterwards, play_afterwards
from novicegym.envs.episode import Episode, Start, begin, play
from novicegym.eval.bootstrap import (
    FloatArray,
    Interval,
    Statistic,
    differences,
    intervals,
    of_sums,
    ratio,
)
from novicegym.eval.episodes import make_protocol
from novicegym.eval.trial import student_sums
from novicegym.eval.trial_draw import draw_trajectories
from novicegym.grading.grader import Grader
from novicegym.grading.regrade import grade_trajectories, until_correct
from novicegym.rewards.base import NoReward
from novicegym.rewards.tutoring import FollowUp

DRAWS = 10_000


def main() -> int:
    """Play and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tutors", nargs="*", default=TUTORS, metavar="TUTOR")
    parser.add_argument("--course", default="cs1")
    parser.add_argument("--n", type=int, default=400, help="episodes of each tutor")
    parser.add_argument("--samples", type=int, default=8, help="programs after each episode")
    parser.add_argument("--cure", type=float, default=Process().cure)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    course = load_course(options.course)
    student = NoviceAgent(course, seed=options.seed, process=Process(cure=options.cure))
    wanted = FollowUp(options.samples, retention=True)
    with Grader() as grader:
        starts = draw_starts(course, options.n, options.seed, grader)
        found = {}
        for name in options.tutors:
            tutor = make_tutor(name, course, grader=grader)
            episodes = play_out(starts, student, tutor, grader)
            found[name] = play_afterwards(episodes, student, course, grader, wanted)
    students = [start.student_id for start in starts]
    print(
        f"{len(starts)} episodes of {len(set(students))} students; chance of a cure {options.cure}"
    )
    print("\n| tutor | post_solve | difference | retention | difference |\n|---|---|---|---|---|")
    columns = [
        rows([post_solve(after) for after in found.values()], students, options.seed),
        rows([retention(after) for after in found.values()], students, options.seed),
    ]
    for name, *both in zip(found, *columns, strict=True):
        print(f"| `{name}` | {' | '.join(text for pair in both for text in pair)} |")
    return 0


def draw_starts(course: Course, count: int, seed: int, grader: Grader) -> list[Start]:
    """Return the starts of the trial of that seed."""
    protocol = make_protocol("trial")
    played = draw_trajectories(course, count, seed, protocol, grader)
    logs = list(played.trajectories)
    graded = grade_trajectories(played, logs, grader)
    return [
        start
        for log, verdicts in zip(logs, graded, strict=True)
        for start in protocol.starts(played, until_correct(log, verdicts), seed)
    ]


def play_out(
    starts: Sequence[Start], student: Agent, tutor: Agent, grader: Grader
) -> list[Episode]:
    """Return the episodes, played to their ends."""
    rules = make_protocol("trial").rules
    episodes = begin(starts, replace(rules, exit_ends_episode=False), grader, tutor)
    while running := [episode for episode in episodes if not episode.stop]:
        dialogs = [episode.dialog() for episode in running]
        said = student.act(dialogs, [episode.info(reveal=False) for episode in running])
        play(running, said, grader, NoReward(), tutor)
    return episodes


def post_solve(after: Sequence[Afterwards]) -> list[float | None]:
    """Return the share that is correct of each."""
    return [sum(grade == 1 for grade in one.post_grades) / len(one.post_grades) for one in after]


def retention(after: Sequence[Afterwards]) -> list[float | None]:
    """Return the grade on the next assignment of each, None without one."""
    return [None if one.retention_grade is None else float(one.retention_grade) for one in after]


def rows(
    arms: Sequence[Sequence[float | None]], students: Sequence[str], seed: int
) -> list[tuple[str, str]]:
    """Return each arm's mean and its difference from the first, as texts."""
    there = [place for place, value in enumerate(arms[0]) if value is not None]
    values = np.array([[arm[place] for arm in arms] for place in there], dtype=np.float64)
    own = [students[place] for place in there]
    count = len(set(own))

    def statistic(columns: FloatArray) -> Statistic:
        both = np.concatenate([columns, np.ones((len(columns), 1))], axis=1)
        sums = student_sums(own, both)
        return of_sums(sums, lambda drawn: ratio(drawn[:, :-1], drawn[:, -1:]))

    every = intervals(statistic(values), count, samples=DRAWS, seed=seed)
    against = differences(statistic(values - values[:, :1]), count, samples=DRAWS, seed=seed)
    told = []
    for number, (mean, change) in enumerate(zip(every, against, strict=True)):
        assert mean is not None
        assert change is not None
        told.append((shown(mean), shown(change.interval, "+") if number else "control"))
    return told


def shown(one: Interval, sign: str = "") -> str:
    """Return an interval as text."""
    return f"{one.value:{sign}.3f} [{one.low:.3f}, {one.high:.3f}]"


if __name__ == "__main__":
    raise SystemExit(main())
