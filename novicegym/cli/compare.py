"""`novicegym compare`: is B better than A?"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novicegym.cli.options import Json, progress_bar

if TYPE_CHECKING:
    from novicegym.eval.bootstrap import Interval
    from novicegym.eval.compare import Comparison, Example, Place, Policy, Program, Row

_WIDTH = 80
_METRICS = {
    "coverage": "coverage",
    "grade_proximity": "grade proximity",
    "codebleu": "CodeBLEU",
    "codebleu_corrected": "CodeBLEU corrected",
}
_VIEWS = {
    "covered": "On the submissions that each covers itself:",
    "imputed": "On all submissions, one that is not covered counting as 0:",
}
_PLACES = {"assignment": 3, "position": 1, "step": 1}
_CHANGED_LINES = 2


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder of a run.", show_default=False)],
    b: Annotated[
        Path, typer.Argument(metavar="B", help="Folder of another run.", show_default=False)
    ],
    a_seeds: Annotated[
        list[Path] | None,
        typer.Option(
            "--a-seed",
            metavar="RUN",
            help="Another run of A's agent, with another seed; repeatable. Means are compared.",
        ),
    ] = None,
    b_seeds: Annotated[
        list[Path] | None,
        typer.Option("--b-seed", metavar="RUN", help="Another run of B's agent."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether B comes closer to the students than A, how sure that is, and where.

    Both were played from the same starts. Differences are paired by student: 95 % intervals by
    drawing students anew, p values adjusted for all rows (Holm).
    """
    from novicegym.cli.table import has_codebleu
    from novicegym.eval.compare import compare_policies
    from novicegym.eval.records import read_records
    from novicegym.eval.report.policies import check_one_policy, check_two_runs

    check_two_runs(a, b)
    for one, others in ((a, a_seeds), (b, b_seeds)):
        check_one_policy([one, *(others or [])])
    first, second = (
        {str(run): read_records(run) for run in (one, *(others or []))}
        for one, others in ((a, a_seeds), (b, b_seeds))
    )
    with_codebleu = has_codebleu()
    with progress_bar("CodeBLEU") as update:
        found = compare_policies(
            first, second, with_codebleu=with_codebleu, workers=2, progress=update
        )
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        for line in render_comparison(found):
            print(line)


def render_comparison(found: Comparison) -> Iterator[str]:
    """Yield the lines of a comparison: at most 80 columns, and nothing that drives a terminal."""
    from rich.cells import cell_len, set_cell_size

    for line in _lines(found):
        yield line if cell_len(line) <= _WIDTH else set_cell_size(line, _WIDTH - 1) + "…"


def _lines(found: Comparison) -> Iterator[str]:
    synthetic = " (synthetic)" if found.synthetic else ""
    yield from _prose(
        f"Is B better than A, closer to what the students did? Course {_line(found.course)}"
        f"{synthetic}, protocol {_line(found.protocol)}: {found.episodes:,} episodes, "
        f"{found.submissions:,} submissions of {found.students:,} students."
    )
    yield from _prose(f"  A  {_who(found.first)}")
    yield from _prose(f"  B  {_who(found.second)}")
    yield from _prose(_answer(found))
    yield ""
    yield f"{'':20}{'A':>6}{'B':>7}  {'B is (95 % interval)':38} {'p':>6}"
    view = ""
    for row in found.rows:
        if row.view != view:
            view = row.view
            yield _VIEWS[view]
        yield _row(row)
    adjusted = f"p is adjusted for these {len(found.rows)} rows (Holm)."
    if found.common_share is not None:
        adjusted = f"Both cover {found.common_share:.1%} of the submissions; {adjusted}"
    yield adjusted
    yield ""
    yield "Where they differ most in grade proximity, not covered counting as 0:"
    yield f"{'':34}{'B - A (95 % interval)':26}{'students':>8}{'submissions':>12}"
    for by, most in _PLACES.items():
        for place in [one for one in found.places if one.by == by][:most]:
            yield _place(place)
    yield ""
    yield "Examples, one step each: grade, closeness to the student's, lines changed"
    for number, example in enumerate(found.examples, start=1):
        yield from _example(number, example)


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)


def _line(text: str) -> str:
    """Return what a log or an agent named, as part of one line."""
    from novicegym.envs.render import printable

    return printable(" ".join(text.split()))


def _who(policy: Policy) -> str:
    seeds = f"seed{'s' * (len(policy.seeds) > 1)} {', '.join(map(str, policy.seeds))}"
    return f"{_line(policy.agent)}, {seeds}: {_line(', '.join(policy.runs))}"


def _answer(found: Comparison) -> str:
    """Return the verdicts in a sentence each: "B is better in X. B is worse in Y."."""
    from novicegym.eval.compare import BETTER, DIVIDED, PARTLY, UNSURE, WORSE

    said = {
        BETTER: "B is better in {}.",
        WORSE: "B is worse in {}.",
        DIVIDED: "In {} it depends on how what is not covered counts.",
        PARTLY: "In {} it cannot be told in one of the two views.",
        UNSURE: "There is no sure difference in {}.",
    }
    sentences = []
    for verdict, sentence in said.items():
        names = [_METRICS[metric] for metric, own in found.answer.items() if own == verdict]
        if names:
            sentences.append(sentence.format(", ".join(names)))
    return " ".join(sentences)


def _row(row: Row) -> str:
    from novicegym.eval.report.tables import shown_p

    values = "".join(
        f"{'-' if one is None else f'{one.value:.3f}':>{width}}"
        for one, width in ((row.first, 6), (row.second, 7))
    )
    p = "-" if row.p is None else shown_p(row.p).replace(" ", "")
    return f"  {_METRICS[row.metric]:18}{values}  {_verdict(row):38} {p:>6}"


def _verdict(row: Row) -> str:
    from novicegym.eval.compare import UNSURE, WORSE

    one = row.difference
    if one is None:
        return "without a value: one covers nothing"
    if row.verdict == UNSURE:
        return f"{UNSURE}: {_interval(one)}"
    low, high = (-one.high, -one.low) if row.verdict == WORSE else (one.low, one.high)
    return f"{row.verdict} by {_plain(abs(one.value))} ({_plain(low)} to {_plain(high)})"


def _interval(one: Interval) -> str:
    return f"{_signed(one.value)} ({_signed(one.low)} to {_signed(one.high)})"


def _plain(value: float) -> str:
    return f"{value:.3f}".replace("-0.000", "0.000")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-0.000", "0.000").replace("+0.000", "0.000")


def _place(place: Place) -> str:
    from rich.cells import set_cell_size

    from novicegym.eval.compare import ENOUGH_STUDENTS

    name = set_cell_size(f"  {place.by} {_line(place.name)}", 33)
    difference = _interval(place.difference)
    if place.students < ENOUGH_STUDENTS:
        difference = f"{_signed(place.difference.value)} (too few students)"
    return f"{name} {difference:26}{place.students:8,}{place.submissions:12,}"


def _example(number: int, example: Example) -> Iterator[str]:
    gain = example.second_closeness - example.first_closeness
    closer = "B is closer" if gain > 0 else "A is closer" if gain < 0 else "equally close"
    before = "" if example.start is None else f" ({_grade(example.start)})"
    yield from _prose(
        f"{number}. {closer}: {_line(example.assignment_id)}, {_line(example.student_id)}, "
        f"after submission {example.position}{before}"
    )
    for name, program, closeness in (
        ("student", example.logged, ""),
        ("A", example.first, f"{example.first_closeness:.2f}"),
        ("B", example.second, f"{example.second_closeness:.2f}"),
    ):
        grade = "" if program.grade is None else f"{program.grade:.2f}"
        yield from _changed(f"   {name:8} {grade:4}  {closeness:4}", example.start, program)


def _grade(program: Program) -> str:
    return "no submission" if program.grade is None else f"grade {program.grade:.2f}"


def _changed(label: str, start: Program | None, program: Program) -> Iterator[str]:
    """Yield what a program changed, its first lines beside the label."""
    if program.code is None:
        yield f"{label}  no submission"
        return
    changes = _changes(start, program)
    more = len(changes) - _CHANGED_LINES
    labels = [label, f"   {more:,} more" if more > 0 else ""]
    nothing = "empty" if start is None else "as it was"
    for beside, line in zip(labels, changes or [nothing], strict=False):
        yield f"{beside:{len(label)}}  {line}"


def _code_lines(program: Program) -> list[str]:
    from novicegym.envs.render import printable

    code = printable((program.code or "").replace("\r\n", "\n").rstrip("\n"))
    # A tab where spaces were is the whole of many a repair: it must be seen.
    return code.replace("\t", "→   ").split("\n") if code else []


def _changes(start: Program | None, program: Program) -> list[str]:
    """Return the lines that changed, without blank ones, or the program where that is shorter."""
    after = _code_lines(program)
    if start is None:
        return after
    before = _code_lines(start)
    changed = []
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            out = [f"- {line}" for line in before[i:j]]
            into = [f"+ {line}" for line in after[k:m]]
            # One by one, so that the first lines show what became of what.
            pairs = zip_longest(out, into)
            changed += [line for pair in pairs for line in pair if line is not None]
    told = [line for line in changed if line[1:].strip()] or changed
    return told if len(told) <= len(after) or not after else after
