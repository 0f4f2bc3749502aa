"""How often our grades agree with what was recorded of real submissions.

    python benchmarks/agreement.py nus  PATH
    python benchmarks/agreement.py itap PATH

Prints a table by assignment, every disagreement, and the CPU time a submission took. The two data
sets are public and are not part of this repository.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from novicegym.courses.load import load_course
from novicegym.courses.readers.assignments import open_assignments
from novicegym.grading.grader import Grader


def _read_nus(folder: Path) -> list[tuple[str, str, str, bool]]:
    rows = []
    with (folder / "programs.jsonl").open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            correct = row["label"] == "correct"
            rows.append((row["assignment_id"], row["program_id"], row["code"], correct))
    return rows


def _read_itap(folder: Path) -> list[tuple[str, str, str, bool]]:
    return [
        (
            trajectory.assignment_id,
            f"{trajectory.student_id}#{number}",
            submission.code,
            submission.logged_grade == 1,
        )
        for trajectory in load_course(f"progsnap2:{folder}").trajectories
        for number, submission in enumerate(trajectory.submissions, start=1)
    ]


def main() -> int:
    """Grade everything and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", choices=("nus", "itap"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", metavar="ASSIGNMENT", help="this assignment alone")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--codes", action="store_true", help="print the programs that disagree")
    options = parser.parse_args()
    assignments = open_assignments(options.folder / "assignments.json")
    read = _read_nus if options.data == "nus" else _read_itap
    rows = [row for row in read(options.folder) if options.only in (None, row[0])]

    started = time.perf_counter()
    with Grader(workers=options.workers, cache_size=0) as grader:
        print("isolation:", " ".join(grader.isolation))
        verdicts = grader.grade_batch([(assignments[name], code) for name, _, code, _ in rows])
    wall = time.perf_counter() - started
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(u.ru_utime + u.ru_stime for u in usage)

    counts: dict[str, Counter[str]] = {}
    differing = []
    for (name, key, code, correct), verdict in zip(rows, verdicts, strict=True):
        agrees = verdict.correct == correct
        counts.setdefault(name, Counter()).update(["all", "agree" if agrees else "differ"])
        counts[name].update([verdict.outcome])
        if not agrees:
            differing.append((name, key, code, correct, verdict))
    outcomes = ("correct", "logical", "runtime", "compile", "timeout", "memory", "refused")
    print(f"{'assignment':<20}{'n':>6}{'agree':>7}{'%':>7}", *(f"{o:>8}" for o in outcomes))
    total: Counter[str] = Counter()
    for name, count in [*sorted(counts.items()), ("all", total)]:
        share = 100 * count["agree"] / count["all"]
        print(
            f"{name:<20}{count['all']:>6}{count['agree']:>7}{share:>7.2f}",
            *(f"{count[o]:>8}" for o in outcomes),
        )
        total.update(count)
    for name, key, code, correct, verdict in differing:
        failed = next((c for c in verdict.cases if not c.passed), None)
        why = "" if failed is None else f"{failed.call} -> {failed.actual or failed.error!r}"
        why = why if failed is None else f"{why}, expected {failed.expected}"
        print(
            f"  {name} {key}: recorded {'correct' if correct else 'wrong'}, "
            f"ours {verdict.grade} {verdict.outcome} {verdict.message!r} {why}"
        )
        if options.codes:
            print(*("    | " + line for line in code.splitlines()), sep="\n")
    print(
        f"{1000 * cpu / len(rows):.2f} ms of CPU, {1000 * wall / len(rows):.2f} ms of wall clock "
        "a submission, reading and comparing included"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
