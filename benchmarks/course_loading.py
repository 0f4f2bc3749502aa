"""Loading a course of a million submissions: seconds and memory.

    python benchmarks/course_loading.py [--submissions 1000000] [--raw]

A course of that size is made up in a temporary folder: students improve a program of some
20 lines step by step, 9 submissions a trajectory, about 600 characters each. Then, each in a
process of its own so that memory is told apart: opening the course directory, one pass over all
trajectories, and random access. `--raw` measures the same log as a CSV too: reading it as
table:PATH, and converting it into a course directory.

Peak RSS is that of the whole process, Python and pyarrow included ("import" is what they take).
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.store import open_course, save_course
from novicegym.courses.suite import IOCase, TestSuite

ASSIGNMENTS = 50
LENGTH = 9
START = datetime(2024, 9, 2, 8)
LINES = (
    "total = 0",
    "count = int(input('How many values? '))",
    "for position in range(count):",
    "    value = float(input('Next value: '))",
    "    if value > {number}:",
    "        total = total + value * {number}",
    "    elif value == {number}:",
    "        print('That is exactly', value)",
    "print('The total of all values is', total)",
    "print('The mean is', total / count)",
)
RANDOM_READS = 2000


class MadeUp(Sequence[Trajectory]):
    """Trajectories that are made when asked for; each depends on its number alone."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Trajectory:  # type: ignore[override]
        rng = np.random.default_rng([0, index])
        numbers = rng.integers(0, 100, size=2 * len(LINES)).tolist()
        lines = [
            line.format(number=number) for line, number in zip(LINES * 2, numbers, strict=True)
        ]
        submissions = []
        for k in range(LENGTH):
            lines[int(rng.integers(len(lines)))] += f"  # attempt {k}, {rng.integers(10**6)}"
            at = START + timedelta(minutes=int(rng.integers(10**5)))
            submissions.append(Submission("\n".join(lines), at, k / (LENGTH - 1)))
        student, assignment = divmod(index, ASSIGNMENTS)
        return Trajectory(f"s{student:06}", f"a{assignment:02}", "Fall 2024", tuple(submissions))

    def __iter__(self) -> Iterator[Trajectory]:
        return (self[index] for index in range(self._count))


def made_up_course(submissions: int) -> Course:
    """A course of about this many submissions."""
    suite = TestSuite(cases=(IOCase("", ""),))
    ids = [f"a{number:02}" for number in range(ASSIGNMENTS)]
    assignments = {key: Assignment(key, key, "Sum the values.", suite) for key in ids}
    return Course("made up", assignments, MadeUp(-(-submissions // LENGTH)), synthetic=True)


def write_csv(folder: Path, submissions: int) -> None:
    """The same course as an export: one CSV and a file of tests."""
    course = made_up_course(submissions)
    tests = [
        {"assignment_id": key, "prompt": "", "cases": [{"stdin": "", "stdout": ""}]}
        for key in course.assignments
    ]
    (folder / "tests.json").write_text(json.dumps(tests), "utf-8")
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "assignment", "term", "order", "timestamp", "code", "grade"])
        for trajectory in course.trajectories:
            for order, submission in enumerate(trajectory.submissions):
                at = submission.at.isoformat() if submission.at is not None else ""
                key = (*trajectory.key, trajectory.term, order, at)
                writer.writerow([*key, submission.code, submission.logged_grade])


def nothing(folder: Path, submissions: int) -> None:
    """What the imports take."""


def write(folder: Path, submissions: int) -> None:
    save_course(made_up_course(submissions), folder / "course")


def open_only(folder: Path, submissions: int) -> None:
    open_course(folder / "course")


def iterate(folder: Path, submissions: int) -> None:
    found = sum(len(t.submissions) for t in open_course(folder / "course").trajectories)
    assert found >= submissions, found


def random_access(folder: Path, submissions: int) -> None:
    trajectories = open_course(folder / "course").trajectories
    rng = np.random.default_rng(0)
    for index in rng.integers(len(trajectories), size=RANDOM_READS):
        assert len(trajectories[int(index)].submissions) == LENGTH


def read_raw(folder: Path, submissions: int) -> None:
    course = load_course(f"table:{folder / 'log.csv'}", tests=folder / "tests.json")
    assert sum(len(t.submissions) for t in course.trajectories) >= submissions


def convert(folder: Path, submissions: int) -> None:
    course = load_course(f"table:{folder / 'log.csv'}", tests=folder / "tests.json")
    save_course(course, folder / "converted")


def _measured(
    job: Callable[[Path, int], None],
    folder: Path,
    submissions: int,
    results: multiprocessing.SimpleQueue[tuple[float, float]],
) -> None:
    start = time.perf_counter()
    job(folder, submissions)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kB elsewhere
    results.put((seconds, peak * unit / 2**20))


def measure(job: Callable[[Path, int], None], folder: Path, submissions: int) -> None:
    """Run a job in a fresh process and print its seconds and peak memory."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit the parent's peak
    results = context.SimpleQueue()
    process = context.Process(target=_measured, args=(job, folder, submissions, results))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f"{job.__name__} failed with exit code {process.exitcode}")
    seconds, peak = results.get()
    print(f"{job.__name__:<15}{seconds:>10.2f} s{peak:>10.0f} MiB peak RSS", flush=True)


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--submissions", type=int, default=1_000_000)
    parser.add_argument("--raw", action="store_true", help="measure reading and converting a CSV")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        jobs = [nothing, write, open_only, iterate, random_access]
        if arguments.raw:
            write_csv(folder, arguments.submissions)
            jobs += [read_raw, convert]
        for job in jobs:
            measure(job, folder, arguments.submissions)
        size = (folder / "course" / "submissions.parquet").stat().st_size
        print(f"submissions.parquet: {size / 2**20:.0f} MiB; random_access: {RANDOM_READS:,} reads")
        if arguments.raw:
            print(f"log.csv: {(folder / 'log.csv').stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
