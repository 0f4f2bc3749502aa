"""Whether one grader stays right, and stays small, over very many programs.

    python benchmarks/grading_soak.py --gradings 1000000 --workers 2 [--nus PATH] [--json OUT]
    python benchmarks/grading_soak.py --twice 100000 [--nus PATH] [--json OUT]

The first form sends a seeded mix of honest and hostile programs through one grader: submissions
of the course cs1, whose logged grades are known, and one attack of the suite in five programs.
Programs that use up a limit come about once in 2,000. Every verdict is compared with the known
one. At even distances, when the grader is idle and all its processes stand, its memory, processes,
descriptors, threads and temporary files are measured. The exit status is 1 after a wrong verdict,
a changed canary, memory grown by more than 10 % + 5 MB since it settled, or anything else grown at
all since then. It has settled after 100,000 gradings, in a shorter run after half: until each
program of the mix came by, the heap is not yet as large as it gets. Ctrl-C ends the run with the
report so far.

The second form grades the same programs twice, in order on one worker and shuffled on three, and
compares the whole verdicts. A tenth of the programs, or more where the corpus is used up, are
copies of others with a comment at the end: their verdicts must be those of the originals.

Covered: Linux, the rung "full", Python programs. Not covered: a zygote that is replaced twice
between two measurements counts once. What other processes of the machine do to a canary, or leave
in the folders that programs share under the canary's mark, is taken for an attack's doing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import sys
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grading import read_nus
from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment
from novicegym.grading.canary import World, changes
from novicegym.grading.check import SandboxCheck, load_attacks
from novicegym.grading.grader import Grader
from novicegym.grading.limits import Limits
from novicegym.grading.verdict import OUTCOMES, Verdict
from novicegym.grading.work_folder import WORK_PREFIX

HOSTILE_SHARE = 1 / 5
SLOW_SHARE = 1 / 2_000
SLOW_ATTACKS = frozenset(
    {
        *("answers_with_megabytes", "answers_without_end", "doubles_a_text", "fills_its_disk"),
        *("forges_colliding_answers", "hoards_memory", "nests_folders_too_deep", "recurses_in_c"),
        *("replaces_the_graders_functions", "sends_a_program_of_megabytes", "stops_itself"),
        *("uses_up_all_files", "waits_for_itself", "warns_without_end"),
    }
)
"""Those that cost more than 40 ms, besides all that may end at a time limit."""
EXACT_ATTACKS = frozenset(
    {"contains_a_null_byte", "is_not_unicode", "is_written_in_another_encoding"}
)
"""Those that are about the text of the program, which a comment would change."""
LOGGED_TIMEOUT = "the program did not finish within its time limit"
SETTLED = 100_000
GROWTH_SHARE, GROWTH_BYTES = 0.10, 5e6
COPIES_SHARE = 0.1
NAMED = 20
"""So many wrong verdicts are told in words."""
PROGRESS_SECONDS = 5.0
MEMORY = ("supervisor memory", "zygote memory")
UNBOUNDED = ("gradings", "zygotes restarted")
HALF_RIGHT = "def f(x): return 2 * x\n"
"""To the test script of the attack suite, which wants the answer printed as well."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program and what is known of its verdict."""

    name: str
    assignment: Assignment
    code: str
    grade: float
    outcomes: tuple[str, ...] = OUTCOMES
    hostile: bool = False
    markable: bool = True
    """Whether a comment at its end leaves it the same program."""

    @property
    def slow(self) -> bool:
        """Whether it may use up a limit, or costs as much."""
        may_time_out = "timeout" in self.outcomes and self.outcomes != OUTCOMES
        return may_time_out or (self.hostile and self.name in SLOW_ATTACKS)

    def copy(self, number: int) -> str:
        """Return a text no other copy has, so that no two requests are equal, where possible."""
        return f"{self.code}\n# {number}\n" if self.markable else self.code

    def problem(self, verdict: Verdict) -> str:
        """Return how the verdict differs from what is known; "" when it does not."""
        if float(verdict.grade) == self.grade and verdict.outcome in self.outcomes:
            return ""
        wanted = "" if self.outcomes == OUTCOMES else f" ({' or '.join(self.outcomes)})"
        said = [part for case in verdict.cases for part in (case.actual, case.error) if part]
        said.append(verdict.message)
        return (
            f"{self.name}: {float(verdict.grade):.4g} ({verdict.outcome}) instead of "
            f"{self.grade:.4g}{wanted}: {said[0][:200]!r}"
        )


def compiles(code: str) -> bool:
    """Whether it does, so that a comment changes no message on where it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(code, "<program>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return True


def cs1_programs() -> list[Program]:
    """The different submissions, in the order of the course, with the grades it holds."""
    course = load_course("cs1")
    programs: dict[tuple[str, str], Program] = {}
    for trajectory in course.trajectories:
        assignment = course.assignments[trajectory.assignment_id]
        for number, submission in enumerate(trajectory.submissions, start=1):
            key = assignment.id, submission.code
            if submission.logged_grade is None or key in programs:
                continue
            timeout = LOGGED_TIMEOUT in (submission.logged_feedback or "")
            programs[key] = Program(
                f"cs1 {trajectory.student_id} {assignment.id} #{number}",
                assignment,
                submission.code,
                submission.logged_grade,
                ("timeout",) if timeout else OUTCOMES,
                markable=compiles(submission.code),
            )
    return list(programs.values())


def nus_programs(folder: Path, limits: Limits, workers: int) -> list[Program]:
    """All programs, with the verdicts of a grader of their own."""
    rows = read_nus(folder)
    with Grader(workers=workers, cache_size=0, limits=limits) as grader:
        verdicts = grader.grade_batch(rows)
    return [
        Program(
            f"NUS program {number}",
            assignment,
            code,
            float(verdict.grade),
            (verdict.outcome,),
            markable=compiles(code),
        )
        for number, ((assignment, code), verdict) in enumerate(zip(rows, verdicts, strict=True))
    ]


def hostile_programs(check: SandboxCheck) -> list[Program]:
    """The attack suite, aimed at the canaries of `check`."""
    assignments = {kind: check.assignment(kind) for kind in ("call", "io", "script")}
    return [
        Program(
            name,
            assignments[attack.kind],
            attack.code,
            float(attack.grade),
            attack.outcomes,
            hostile=True,
            markable=attack.kind == "call" and name not in EXACT_ATTACKS,
        )
        for name, attack in load_attacks().items()
    ]


def mixed(
    honest: Sequence[Program], hostile: Sequence[Program], rng: random.Random
) -> Iterator[Program]:
    """Draw without end, the costly attacks first, once each: the memory they need is no growth."""
    quick = [[program for program in group if not program.slow] for group in (honest, hostile)]
    slow = [[program for program in group if program.slow] for group in (honest, hostile)]
    yield from (program for program in hostile if program.name in SLOW_ATTACKS)
    while True:
        if rng.random() < SLOW_SHARE:
            yield rng.choice(rng.choice(slow))
        else:
            yield rng.choice(quick[rng.random() < HOSTILE_SHARE])


def descendants() -> dict[int, tuple[int, str]]:
    """Return by number the processes below this one: their parents, and when they started."""
    stats = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            stats[int(name)] = int(fields[1]), fields[19]
    found: dict[int, tuple[int, str]] = {}
    family = {os.getpid()}
    while more := {pid for pid, (parent, _) in stats.items() if parent in family} - family:
        found |= {pid: stats[pid] for pid in more}
        family |= more
    return found


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Soak:
    """One grader and the canaries around it, and what was measured of them so far."""

    def __init__(self, check: SandboxCheck, workers: int) -> None:
        self._world: World = check.world
        self._script = Program("half right script", check.assignment("script"), HALF_RIGHT, 0.5)
        self._zygotes_wanted = 2 * workers  # for programs, and for test scripts
        self._copies = 0
        self._others = descendants()  # the canary process
        self._seen: set[tuple[int, str]] = set()
        self.grader = Grader(workers=workers, cache_size=0, limits=check.grader.limits)
        self.measures: list[dict[str, int]] = []
        self.done = self.wrong_count = 0
        self.wrong: list[str] = []
        self.seconds = 0.0
        self._told = time.monotonic()
        self.measure()
        self._canaries = self._world.state()

    def run(self, programs: Iterator[Program], gradings: int, every: int) -> None:
        """Grade so many, with a measurement after each `every`."""
        while self.done < gradings:
            started = time.perf_counter()
            try:
                self._grade(programs, min(every, gradings - self.done), gradings)
            finally:
                self.seconds += time.perf_counter() - started
            self.measure()

    def _grade(self, programs: Iterator[Program], count: int, total: int) -> None:
        waiting: deque[Program] = deque()
        first = self.done

        def requests() -> Iterator[tuple[Assignment, str]]:
            for number in range(first, first + count):
                program = next(programs)
                waiting.append(program)
                yield program.assignment, program.copy(number)

        # Closed at once after Ctrl-C, too: its threads would be measured.
        with contextlib.closing(self.grader.grade_stream(requests())) as stream:  # type: ignore[type-var]
            for verdict in stream:
                self._compare(waiting.popleft(), verdict)
                self.done += 1
                if time.monotonic() - self._told > PROGRESS_SECONDS:
                    self._told = time.monotonic()
                    print(f"{self.done} of {total}, {self.wrong_count} wrong", file=sys.stderr)

    def _zygotes(self) -> dict[int, tuple[int, str]]:
        """Return the processes of the grader: where they have a namespace of their own, two each,
        of which the first only waits for the second."""
        return {pid: of for pid, of in descendants().items() if pid not in self._others}

    def _count(self, zygotes: dict[int, tuple[int, str]]) -> int:
        return sum(parent == os.getpid() for parent, _ in zygotes.values())

    def _wake_all(self) -> None:
        """Have every zygote of the grader running: those that an attack ended come back late."""
        for _ in range(20):
            if self._count(self._zygotes()) >= self._zygotes_wanted:
                return
            numbers = range(self._copies, self._copies + self._zygotes_wanted)
            self._copies += self._zygotes_wanted
            requests = [(self._script.assignment, self._script.copy(n)) for n in numbers]
            for verdict in self.grader.grade_stream(requests):
                self._compare(self._script, verdict)

    def _compare(self, program: Program, verdict: Verdict) -> None:
        problem = program.problem(verdict)
        if problem:
            self.wrong_count += 1
            if len(self.wrong) < NAMED:
                self.wrong.append(f"grading {self.done}, {problem}")

    def measure(self) -> None:
        """Measure, while nothing is graded."""
        self._wake_all()
        zygotes = self._zygotes()
        self._seen |= {(pid, at) for pid, (parent, at) in zygotes.items() if parent == os.getpid()}
        state = self._world.state()
        self.measures.append(
            {
                "gradings": self.done,
                "supervisor memory": resident_bytes(os.getpid()),
                "zygote memory": sum(resident_bytes(pid) for pid in zygotes),
                "zygotes": self._count(zygotes),
                "processes": int(state["processes"]),
                "supervisor descriptors": len(os.listdir("/proc/self/fd")),
                "zygote descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in zygotes),
                "threads": len(os.listdir("/proc/self/task")),
                "temporary files": len(list(Path(tempfile.gettempdir()).glob(f"{WORK_PREFIX}*"))),
                "zygotes restarted": max(0, len(self._seen) - self._zygotes_wanted),
            }
        )

    def canary_changes(self, interrupted: bool) -> list[str]:
        """Return what changed outside; processes and descriptors are measured apart."""
        before = self._canaries
        apart = ["processes", "caller, descriptors"]
        if interrupted:  # the terminal sends Ctrl-C to the canary process, too
            apart.append("canary process, signals")
        after = self._world.state() | {name: before[name] for name in apart}
        return changes(before, after)


def growth_bound(name: str, early: dict[str, int]) -> float:
    """Return by how much a measure may grow from the one to the other."""
    if name in UNBOUNDED:
        return math.inf
    if name not in MEMORY:
        return 0
    return GROWTH_SHARE * early[name] + GROWTH_BYTES


def growth_problems(measures: Sequence[dict[str, int]]) -> list[str]:
    """Return what grew past its bound after it settled."""
    early, last = settled_measure(measures), measures[-1]
    return [
        f"{name} grew from {early[name]} to {last[name]}"
        for name in last
        if last[name] - early[name] > growth_bound(name, early)
    ]


def settled_measure(measures: Sequence[dict[str, int]]) -> dict[str, int]:
    """Return the first measure after 100,000 gradings, or half of them."""
    settled = min(SETTLED, measures[-1]["gradings"] / 2)
    return next(measure for measure in measures if measure["gradings"] >= settled)


def show_measures(measures: Sequence[dict[str, int]]) -> None:
    """Print the start, where it settled, the middle and the end of each measure."""
    half = measures[-1]["gradings"] / 2
    middle = next(measure for measure in measures if measure["gradings"] >= half)
    columns = (measures[0], settled_measure(measures), middle, measures[-1])
    heads = ("start", "settled", "middle", "end", "growth", "bound")
    print(f"{'':<26}" + "".join(f"{head:>11}" for head in heads))
    for name in measures[0]:
        values = [column[name] for column in columns]
        values.append(values[3] - values[1])
        bound = growth_bound(name, columns[1])
        if name in MEMORY:
            row = [f"{value / 1e6:.1f}" for value in (*values, bound)]
        else:
            row = [*map(str, values), "-" if bound == math.inf else f"{bound:.0f}"]
        label = f"{name}, MB" if name in MEMORY else name
        print(f"{label:<26}" + "".join(f"{cell:>11}" for cell in row))


def soak(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Run the mix; return the report and what is wrong."""
    with SandboxCheck() as check:
        if check.rung != "full":
            sys.exit(f"the sandbox here is {check.rung!r}: the soak needs the rung 'full'")
        check.grader.close()  # its canaries are wanted, and a second grader would be measured too
        honest = cs1_programs()
        if options.nus is not None:
            honest += nus_programs(options.nus, check.grader.limits, options.workers)
        hostile = hostile_programs(check)
        programs = mixed(honest, hostile, random.Random(options.seed))
        print(f"{len(honest)} honest and {len(hostile)} hostile programs, seed {options.seed}")
        run = Soak(check, options.workers)
        ended = False
        with run.grader:
            print("isolation:", " ".join(run.grader.isolation))
            try:
                run.run(programs, options.gradings, options.every)
                ended = True
            except KeyboardInterrupt:
                run.measure()
            problems = [f"{run.wrong_count} wrong verdicts"] if run.wrong_count else []
            problems += [f"outside: {change}" for change in run.canary_changes(not ended)]
    problems += growth_problems(run.measures)
    rate = run.done / run.seconds if run.seconds else 0.0
    show_measures(run.measures)
    print(f"\n{run.done} gradings, {run.wrong_count} wrong, {rate:.0f} a second")
    for line in run.wrong:
        print(f"  {line}")
    report = {
        "ended": ended,
        "workers": options.workers,
        "seed": options.seed,
        "gradings": run.done,
        "seconds": run.seconds,
        "wrong verdicts": run.wrong_count,
        "wrong": run.wrong,
        "measures": run.measures,
    }
    return report, problems


def whole_verdicts(
    requests: Sequence[tuple[Assignment, str]], order: Iterable[int], workers: int
) -> dict[int, str]:
    """Return the verdicts as text, by place in `requests`; those until then after Ctrl-C."""
    order = list(order)
    texts: dict[int, str] = {}
    told = time.monotonic()
    with Grader(workers=workers, cache_size=0) as grader:
        try:
            verdicts = grader.grade_stream(requests[place] for place in order)
            for place, verdict in zip(order, verdicts, strict=True):
                texts[place] = json.dumps(verdict.to_json(), sort_keys=True)
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    print(f"{len(texts)} of {len(order)}, {workers} workers", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
    return texts


def twice(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Grade the same programs two times; return the report and what is wrong."""
    rng = random.Random(options.seed)
    corpus = cs1_programs()
    if options.nus is not None:
        rows = read_nus(options.nus)
        corpus += [
            Program(f"NUS program {number}", assignment, code, 0.0, markable=compiles(code))
            for number, (assignment, code) in enumerate(rows)
        ]
    size = min(len(corpus), round((1 - COPIES_SHARE) * options.twice))
    originals = [corpus[place] for place in sorted(rng.sample(range(len(corpus)), size))]
    markable = [place for place, program in enumerate(originals) if program.markable]
    # Where a program comes from: itself, or the one it is a copy of.
    sources = [*range(size), *rng.choices(markable, k=options.twice - size)]
    requests = [
        (originals[source].assignment, originals[source].code)
        if place == source
        else (originals[source].assignment, originals[source].copy(place))
        for place, source in enumerate(sources)
    ]
    shuffled = rng.sample(range(len(requests)), len(requests))
    first = whole_verdicts(requests, range(len(requests)), 1)
    second = whole_verdicts(requests, shuffled, 3)
    both = first.keys() & second.keys()
    differing = [
        f"{originals[sources[place]].name}: {first[place]} and then {second[place]}"
        for place in sorted(both)
        if first[place] != second[place]
    ]
    copies = [place for place in sorted(first) if place != sources[place]]
    changed = [
        f"{originals[sources[place]].name}: {first[sources[place]]}, as a copy {first[place]}"
        for place in copies
        if first[place] != first[sources[place]]
    ]
    print(
        f"{len(both)} programs graded twice, in order on 1 worker and shuffled on 3: "
        f"{len(differing)} verdicts differ\n"
        f"{len(copies)} of them copies with a comment: {len(changed)} verdicts differ from the "
        f"original's\n{len(set(first.values()))} different verdicts"
    )
    for line in [*differing[:NAMED], *changed[:NAMED]]:
        print(f"  {line}")
    problems = [f"{len(differing)} verdicts differ between the runs"] if differing else []
    problems += [f"{len(changed)} verdicts changed by a comment"] if changed else []
    report = {
        "ended": len(both) == len(requests),
        "seed": options.seed,
        "programs": len(both),
        "copies": len(copies),
        "differing": len(differing),
        "changed by a comment": len(changed),
    }
    return report, problems


def main() -> int:
    """Run one of the two forms and print its report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--gradings", type=int, default=1_000_000, help="default: 1,000,000")
    form.add_argument("--twice", type=int, metavar="N", help="grade N programs two times instead")
    parser.add_argument("--workers", type=int, default=2, help="of the soak (default: 2)")
    parser.add_argument("--every", type=int, help="gradings between measurements (default: 1/50)")
    parser.add_argument("--seed", type=int, default=0, help="of the mix and the orders")
    parser.add_argument("--nus", type=Path, metavar="PATH", help="folder of the NUS programs")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the report there, too")
    options = parser.parse_args()
    if options.every is None:
        options.every = max(100, options.gradings // 50)
    for name in ("gradings", "twice", "workers", "every"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    # A folder of our own: other graders on this machine work in the shared one. Programs must be
    # able to enter it, for a file mode must not be all that keeps them from the canaries.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tempfile.tempdir = folder
        try:
            report, problems = soak(options) if options.twice is None else twice(options)
        finally:
            tempfile.tempdir = None
    left = threading.active_count() - 1
    problems += [f"{left} threads are left after the grader was closed"] if left else []
    for problem in problems:
        print(f"WRONG: {problem}")
    if options.json is not None:
        text = json.dumps({**report, "problems": problems}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")
    if problems:
        return 1
    return 0 if report["ended"] else 130


if __name__ == "__main__":
    sys.exit(main())
