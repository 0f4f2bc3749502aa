"""`novicegym compare` as a reader meets it: one screen, plain words, nothing that acts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from novicegym.cli.compare import render_comparison
from novicegym.eval.bootstrap import Interval
from novicegym.eval.compare import Comparison, Example, Place, Policy, Program, Row

UP, DOWN = Interval(0.1, 0.05, 0.15), Interval(-0.1, -0.15, -0.05)
UNSURE = Interval(0.0001, -0.02, 0.03)
VALUE = Interval(0.7, 0.6, 0.8)
START = Program("def f(x):\n    y = 1\n    return x", 0.5)


def found(**changes: object) -> Comparison:
    rows = (
        Row("covered", "coverage", VALUE, VALUE, DOWN, 0.004, "worse"),
        Row("covered", "grade_proximity", VALUE, VALUE, UP, 0.004, "better"),
        Row("covered", "codebleu", VALUE, VALUE, UNSURE, 0.9, "cannot tell"),
        Row("imputed", "grade_proximity", VALUE, VALUE, UNSURE, 0.9, "cannot tell"),
        Row("imputed", "codebleu", VALUE, None, None, None, "cannot tell"),
    )
    example = Example(
        "ann", "loops", 4, START, Program(None, None), START, Program("print(1)\n", 0.0), 0.9, 0.25
    )
    comparison = Comparison(
        "cs0", True, "paper", Policy("old", (0,), ("runs/old",)),
        Policy("new", (0, 1), ("runs/new", "runs/new-1")), 12, 72, 1440, 0.75, rows,
        (Place("assignment", "loops", 12, 700, DOWN), Place("step", "2", 11, 500, UP)), (example,),
    )  # fmt: skip
    return replace(comparison, **changes)  # type: ignore[arg-type]


def shown(**changes: object) -> list[str]:
    return list(render_comparison(found(**changes)))


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_verdicts_are_told_in_plain_words_with_their_intervals() -> None:
    text = words(shown())
    assert (
        "B is worse in coverage. In grade proximity it cannot be told in one of the two views. "
        "There is no sure difference in CodeBLEU."
    ) in text
    opposite = [
        replace(row, verdict="worse")
        if (row.view, row.metric) == ("imputed", "grade_proximity")
        else row
        for row in found().rows
    ]
    assert "In grade proximity it depends on how what is not covered counts." in words(
        shown(rows=opposite)
    )
    assert "coverage 0.700 0.700 worse by 0.100 (0.050 to 0.150) 0.004" in text
    assert "grade proximity 0.700 0.700 better by 0.100 (0.050 to 0.150) 0.004" in text
    assert "CodeBLEU 0.700 0.700 cannot tell: 0.000 (-0.020 to +0.030) 0.900" in text
    assert "CodeBLEU 0.700 - without a value: one covers nothing -" in text
    assert "Both cover 75.0% of the submissions; p is adjusted for these" in text


def test_the_runs_places_and_students_are_told() -> None:
    text = words(shown())
    assert "cs0 (synthetic), protocol paper: 72 episodes, 1,440 submissions of 12 students" in text
    assert "A old, seed 0: runs/old B new, seeds 0, 1: runs/new, runs/new-1" in text
    assert "assignment loops -0.100 (-0.150 to -0.050) 12 700" in text
    assert "step 2 +0.100 (+0.050 to +0.150) 11 500" in text


def test_a_place_of_few_students_has_no_interval() -> None:
    text = words(shown(places=(Place("assignment", "loops", 5, 700, DOWN),)))
    assert "assignment loops -0.100 (too few students) 5 700" in text


def test_an_example_shows_grades_closeness_and_what_changed() -> None:
    lines = shown()
    begin = lines.index("1. A is closer: loops, ann, after submission 4 (grade 0.50)")
    assert lines[begin + 1 :] == [
        "   student              no submission",
        "   A        0.50  0.90  as it was",
        "   B        0.00  0.25  print(1)",
    ]


def test_a_change_is_shown_as_lines_out_and_in_and_cut_after_two() -> None:
    [example] = found().examples
    small = Program("def f(x):\n    y = 1\n\n    return y", 0.5)
    both = Program("def g(x):\n    y = 2\n    return x", 0.5)
    long = Program("\n".join(f"line_{number}" for number in range(20)), 0.5)
    lines = shown(examples=(replace(example, logged=small, first=both, second=long),))
    assert lines[-6:] == [
        "   student  0.50        -     return x",
        "                        +     return y",
        "   A        0.50  0.90  def g(x):",
        "   1 more                   y = 2",
        "   B        0.50  0.25  line_0",
        "   18 more              line_1",
    ]


def test_a_screen_is_enough() -> None:
    [example] = found().examples
    long = Program("\n".join(f"line_{number}" for number in range(20)), 0.5)
    one = replace(example, logged=long, first=long, second=long)
    rows = [row for row in found().rows for _ in range(2)]
    place = found().places[0]
    places = [replace(place, by=by) for by in ("assignment", "position", "step") for _ in range(9)]
    assert len(shown(rows=rows, places=places, examples=(one,) * 3)) <= 52


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x07", "\u202e\u2066", "x" * 500, "界" * 500, "a\r\nb\rc"]
)
def test_no_text_leaves_its_line_of_80_columns_or_drives_the_terminal(text: str) -> None:
    [example] = found().examples
    program = Program(f"{text}\n\t{text}", 1.0)
    hostile = found(
        course=text,
        first=Policy(text, (0,), (text,)),
        places=(Place("assignment", text, 12, 700, DOWN),),
        examples=(
            replace(example, student_id=text, assignment_id=text, start=program, first=program),
            replace(example, start=None, logged=program, second=program),
        ),
    )
    for line in render_comparison(hostile):
        assert cell_len(line) <= 80
        assert line.isprintable()


def novicegym(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "novicegym", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=600)


def test_a_policys_runs_differ_in_their_seed_alone(tmp_path: Path) -> None:
    """Records do not hold what the policy was told; run.json does."""
    for seed, feedback in ((0, "full"), (1, "full"), (2, "none")):
        options = ("--split", "trajectories:6", "--seed", str(seed), "--feedback", feedback)
        played = novicegym("rollout", "--agent", "novice", *options, "-o", f"n{seed}", cwd=tmp_path)
        assert played.returncode == 0, played.stderr
    allowed = novicegym("compare", "n0", "n2", "--a-seed", "n1", "--json", cwd=tmp_path)
    assert allowed.returncode == 0, allowed.stderr
    for arguments in (("n0", "n1", "--a-seed", "n2"), ("n1", "n0", "--b-seed", "n2")):
        refused = novicegym("compare", *arguments, cwd=tmp_path)
        assert refused.returncode == 2
        said = refused.stderr.splitlines()[-1]
        assert "n0 and n2 have other settings in run.json (protocol.format.feedback)" in said
        assert "differ in their seed alone" in said


def test_from_rollouts_to_the_answer(tmp_path: Path) -> None:
    for agent in ("persistence", "logged", "reference"):
        options = ("--split", "trajectories:24", "-o", agent)
        played = novicegym("rollout", "--agent", agent, *options, cwd=tmp_path)
        assert played.returncode == 0, played.stderr
    text = novicegym("compare", "persistence", "logged", cwd=tmp_path)
    assert text.returncode == 0, text.stderr
    assert "B is better in grade proximity" in words(text.stdout.splitlines())
    assert max(map(cell_len, text.stdout.splitlines())) <= 80
    assert len(text.stdout.splitlines()) <= 52
    result = novicegym("compare", "persistence", "reference", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    data = json.loads(result.stdout)
    # It solves at once and covers nothing more.
    assert data["answer"]["coverage"] == "worse"
    assert len(data["examples"]) == 3
    assert all(example["start"] is not None for example in data["examples"])
    for arguments, message in [
        (("compare", "persistence", "nothing"), "nothing is not a run"),
        (("compare", "logged", "logged"), "are the same policy with the same seed"),
        (("compare", "persistence"), "Missing argument"),
        (("compare", "persistence", "logged", "--a-seed", "reference"), "differ in their seed"),
    ]:
        refused = novicegym(*arguments, cwd=tmp_path)
        assert refused.returncode == 2
        assert message in refused.stderr.splitlines()[-1]
