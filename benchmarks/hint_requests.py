"""When students asked for hints, and what followed: all figures of a log with hint requests.

    python benchmarks/hint_requests.py ITAP_FOLDER
    python benchmarks/hint_requests.py ITAP_FOLDER --simulated runs/tutored runs/silent --course cs1

Prints Markdown: what became of the requests, the model of who asks with its calibration, and
what follows a request beside matched states without one; with --simulated the same of episode
records, with a tutor's messages for requests. FOLDER is a ProgSnap2 data set with X-HintRequest
events; the ITAP logs are public and are not part of this repository. The same options print the
same text.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from novicegym.agents.asks import FEATURES
from novicegym.courses.load import load_course
from novicegym.courses.readers.hint_requests import read_hint_requests
from novicegym.eval.asking import asking_report
from novicegym.eval.asking_model import AskStates, ask_states, fit_asks, odds_ratios
from novicegym.eval.bootstrap import Interval
from novicegym.eval.hint_effects import HintEffects, hint_effects
from novicegym.eval.hint_states import HintLog, graded_logs, logged_states, simulated_states
from novicegym.eval.records import read_records
from novicegym.grading.grader import Grader


def main() -> int:
    """Read, grade, fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tests", type=Path, help="the assignments, if not beside the log")
    parser.add_argument("--simulated", type=Path, nargs="+", default=[], metavar="RUN")
    parser.add_argument("--course", help="what the runs were started from (default: the log)")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="write the policy as JSON")
    parser.add_argument("--samples", type=int, default=1000, help="draws of students")
    parser.add_argument("--splits", type=int, default=10, help="divisions into folds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    draws = {"samples": options.samples, "seed": options.seed}

    requests = read_hint_requests(options.folder, tests=options.tests)
    course = load_course(f"progsnap2:{options.folder}", tests=options.tests)
    with Grader(workers=options.workers) as grader:
        log = logged_states(course, requests, grader)
    states = ask_states(log.states, requests, [one.key for one in course.trajectories])
    show_requests(log)
    show_asking(states, options.splits, options.samples, options.seed)
    if options.policy:
        policy = fit_asks(states, seed=options.seed).to_json()
        options.policy.write_text(json.dumps(policy, indent=1) + "\n", encoding="utf-8")
    for title, match, first_only in (
        ("Matched nearly", "near", False),
        ("Matched exactly", "exact", False),
        ("Before any other request on the assignment, matched nearly", "near", True),
    ):
        found = hint_effects(log.states, match=match, first_only=first_only, **draws)
        show_effects(title, found, "request")
    if options.simulated:
        started = course if options.course is None else load_course(options.course)
        with Grader(workers=options.workers) as grader:
            logs = graded_logs(started, grader)
        simulated = simulated_states([read_records(run) for run in options.simulated], logs)
        show_effects("Simulated, matched nearly", hint_effects(simulated, **draws), "message")
    return 0


def show_requests(log: HintLog) -> None:
    """Print what became of the requests."""
    asked = [state for state in log.states if state.helped]
    print("## Requests\n")
    print(f"- {log.requests} requests on assignments with tests")
    print(f"- {log.before_first} before the first submission, {log.after_correct} after solving")
    print(f"- {log.in_states} in {len(asked)} states: after a wrong submission, before the next")
    print(f"- {log.same_code} of these {log.in_states} with the code of that submission unchanged")
    print(
        f"- {len(log.states)} wrong submissions of "
        f"{len({state.student_id for state in log.states})} students; "
        f"{len({state.student_id for state in asked})} students asked after one\n"
    )


def show_asking(states: AskStates, splits: int, samples: int, seed: int) -> None:
    """Print the model of who asks and how well it is calibrated."""
    report = asking_report(states, splits=splits, samples=samples, seed=seed)
    print("## Who asks\n")
    print(
        f"{report.asked} of {report.states} states with a request; {report.asking_students} of "
        f"{report.students} students asked. {report.splits} divisions into {report.folds} folds "
        "of students.\n"
    )
    print("| score | value |\n|---|---|")
    print(f"| AUC | {shown(report.auc, 3)} |")
    print(f"| Brier score | {shown(report.brier, 4)} |")
    print(f"| Brier score of the base rate | {shown(report.base_rate_brier, 4)} |")
    print(f"| skill, 1 - their ratio | {shown(report.skill, 3)} |")
    print(f"| expected calibration error | {shown(report.ece, 4)} |")
    print(f"| the same, if calibrated perfectly | {report.ece_if_calibrated:.4f} |")
    print(f"| mean prediction | {shown(report.mean_predicted, 3)} |")
    print(f"| share of states with a request | {shown(report.base_rate, 3)} |\n")
    print("| states | predicted | asked |\n|---:|---:|---|")
    for one in report.reliability:
        predicted = "-" if one.predicted is None else f"{one.predicted.value:.3f}"
        print(f"| {one.states:.0f} | {predicted} | {shown(one.observed, 3)} |")
    policy = fit_asks(states, seed=seed)
    ratios = odds_ratios(states, samples=min(samples, 300), seed=seed)
    print(f"\n| feature | log-odds (intercept {policy.intercept:.3f}) | odds ratio | what it is |")
    print("|---|---:|---|---|")
    for name, what in FEATURES.items():
        print(f"| {name} | {policy.weights[name]:+.3f} | {shown(ratios[name], 2)} | {what} |")
    print(f"\nDifficulty of an assignment it does not know: {policy.difficulty:.3f}\n")


def show_effects(title: str, found: HintEffects, help_: str) -> None:
    """Print what follows help beside states like them."""
    print(f"## What follows a {help_}. {title}\n")
    print(
        f"{found.helped} of {found.states} states with a {help_}, by {found.helped_students} of "
        f"{found.students} students; {found.matched} of them matched.\n"
    )
    print(f"| | all with a {help_} | matched | like them, without | difference | matched of all |")
    print("|---|---|---|---|---|---|")
    for name, one in found.effects.items():
        values = (one.helped, one.matched, one.without, one.difference)
        cells = " | ".join(shown(value, 3) for value in values)
        print(f"| {name} | {cells} | {one.matched_states} of {one.helped_states} |")
    print()


def shown(interval: Interval | None, digits: int) -> str:
    """Return a value with its interval as text."""
    if interval is None:
        return "-"
    low, high = interval.low, interval.high
    return f"{interval.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


if __name__ == "__main__":
    sys.exit(main())
