"""Trials of tutors: outcomes, paired effects by hand, parts by skill, and who takes part."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from novicegym.agents.tutors.silent import SilentTutor
from novicegym.cli import app
from novicegym.courses.model import Course
from novicegym.courses.store import save_course
from novicegym.dialogs.serialize import Dialog
from novicegym.dialogs.tutoring import split_message
from novicegym.errors import UsageError
from novicegym.eval.bootstrap import TooFewError
from novicegym.eval.episodes import PROTOCOLS
from novicegym.eval.records import read_records
from novicegym.eval.rollouts import rollout
from novicegym.eval.trial import Trial, compare_arms
from novicegym.eval.trial_draw import arm_folders, draw_trajectories
from novicegym.eval.trial_episodes import OUTCOMES, Turn, TutoredEpisode, tutored_episodes
from novicegym.grading.grader import Grader
from novicegym.grading.verdict import Verdict

TRIAL = PROTOCOLS["trial"]
RIGHT = "def add(a, b):\n    return a + b\n"


def turn(grade: float | None, message: str = "", leak: float = 0.0, failure: str = "") -> Turn:
    outcome = "exit" if grade is None else "correct" if grade == 1 else "logical"
    return Turn(message, failure, leak, "x", None if grade is None else Fraction(grade), outcome)


def episode(student: str, *turns: Turn, start: float = 0.0, number: int = 0) -> TutoredEpisode:
    before = (("x", Verdict(Fraction(start), "logical")),)
    return TutoredEpisode((student, f"a{number}", 1), before, turns, horizon=10)


SOLVED = (turn(0.5), turn(1.0))
FAILED = tuple(turn(0.25) for _ in range(10))


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (SOLVED, (1, 2, 1, 0, 0, 0, 0, 0)),
        (FAILED, (0, 10, 0.25, 0, 0, 0, 0, 0)),
        # given up: as long as if it had run to the horizon
        ((turn(0.75), turn(None)), (0, 10, 0.75, 0, 0, 0, 0, 0)),
        # given up at once: the grade that it starts from
        ((turn(None),), (0, 10, 0.125, 0, 0, 0, 0, 0)),
        (
            (turn(0, "a", 0.5), turn(0), turn(0, "b", 0.25), turn(1, failure="dead")),
            (1, 4, 1, 0.375, 0.5, 0, 2, 0.25),
        ),
    ],
)
def test_the_outcomes_of_an_episode(turns: tuple[Turn, ...], expected: tuple[float, ...]) -> None:
    one = episode("s", *turns, start=0.125)
    assert tuple(getattr(one, outcome.name) for outcome in OUTCOMES) == expected


def trial_of(
    control: Sequence[TutoredEpisode], treated: Sequence[TutoredEpisode], **settings: Any
) -> Trial:
    return compare_arms({"none": control, "tutor": treated}, **{"samples": 400, **settings})


def test_an_effect_is_the_mean_over_episodes_of_the_paired_differences() -> None:
    """By hand: of three episodes of two students one is solved in place of failed."""
    control = [
        episode("s", *SOLVED),
        episode("s", *FAILED, number=1),
        episode("t", *FAILED),
    ]
    treated = [
        episode("s", *SOLVED),
        episode("s", *SOLVED, number=1),
        episode("t", *FAILED),
    ]
    found = trial_of(control, treated)
    assert (found.students, found.episodes) == (2, 3)
    values = {
        outcome: (
            found.effect("none", outcome).mean.value,
            found.effect("tutor", outcome).mean.value,
            found.effect("tutor", outcome).difference,
        )
        for outcome in ("solved", "submissions", "final_grade")
    }
    for outcome, before, after in (
        ("solved", 1 / 3, 2 / 3),
        ("submissions", 22 / 3, 14 / 3),
        ("final_grade", 0.5, 0.75),
    ):
        difference = values[outcome][2]
        assert values[outcome][:2] == (pytest.approx(before), pytest.approx(after))
        assert difference is not None
        assert difference.interval.value == pytest.approx(after - before)
        # Drawn are s and s, s and t, or t and t: an effect of 1/2, 1/3 or 0 of what one changes.
        changed = 3 * (after - before)
        ends = sorted((0.0, changed / 2))
        assert [difference.interval.low, difference.interval.high] == pytest.approx(ends)
    assert found.effect("none", "solved").difference is None


def test_every_student_changed_alike_leaves_no_doubt_and_equal_arms_no_difference() -> None:
    names = [f"s{number}" for number in range(12)]
    control = [episode(name, *FAILED) for name in names]
    treated = [episode(name, *SOLVED) for name in names]
    found = trial_of(control, treated, samples=2000)
    effect = found.effect("tutor", "solved")
    assert effect.difference is not None
    assert (effect.difference.interval.low, effect.difference.interval.high) == (1.0, 1.0)
    assert effect.verdict == "higher"
    assert found.effect("tutor", "submissions").verdict == "lower"
    # Of all ways to give twelve differences a sign, two are as far from 0. All outcomes are tested
    # at once: the smallest p is so many times that of one.
    assert effect.difference.p == 2 / 2**12
    # Leaks, messages and failures are the same in every episode, and are no tests.
    assert effect.adjusted_p == pytest.approx(3 * effect.difference.p)
    same = trial_of(control, control)
    assert {one.verdict for one in same.effects if one.arm == "tutor"} == {"no difference shown"}
    assert {one.adjusted_p for one in same.effects if one.arm == "tutor"} == {1.0}


@pytest.mark.parametrize("students", [2, 3, 4, 6])
def test_few_students_who_are_all_helped_show_no_difference(students: int) -> None:
    names = [f"s{number}" for number in range(students)]
    found = trial_of(
        [episode(name, *FAILED) for name in names], [episode(name, *SOLVED) for name in names]
    )
    effect = found.effect("tutor", "solved")
    assert effect.difference is not None
    assert effect.difference.p == 2 / 2**students
    assert effect.verdict == "no difference shown"


def test_an_arm_like_the_control_makes_no_other_less_sure() -> None:
    control = [episode(f"s{number}", *FAILED) for number in range(9)]
    treated = [episode(f"s{number}", *SOLVED) for number in range(9)]
    alone = compare_arms({"none": control, "a": treated}, samples=10)
    beside = compare_arms({"none": control, "same": control, "a": treated}, samples=10)
    found = [one.effect("a", "solved").adjusted_p for one in (alone, beside)]
    assert found[0] == found[1] == 3 * 2 / 2**9
    assert beside.effect("same", "solved").adjusted_p == 1.0


def test_many_students_leave_a_small_p_however_many_are_tested() -> None:
    control = [episode(f"s{number}", *FAILED) for number in range(60)]
    treated = [episode(f"s{number}", *SOLVED) for number in range(60)]
    found = compare_arms({"none": control, "a": treated, "b": treated}, samples=10)
    p = found.effect("b", "solved").adjusted_p
    assert p is not None
    assert 0 < p < 0.001


def test_another_seed_draws_other_students_and_signs() -> None:
    control = [episode(f"s{number:02}", *FAILED) for number in range(40)]
    treated = [episode(f"s{n:02}", *(SOLVED if n < 5 else FAILED)) for n in range(40)]
    found, again, other = (trial_of(control, treated, samples=50, seed=seed) for seed in (0, 0, 1))
    assert found == again
    for one in ("solved", "final_grade"):
        before, after = (trial.effect("tutor", one).difference for trial in (found, other))
        assert before is not None
        assert after is not None
        assert before.interval != after.interval
        assert before.p != after.p


def test_the_parts_by_skill_are_cut_before_the_first_message() -> None:
    control = [episode(f"s{n}", *FAILED, start=n / 16) for n in range(9)]
    treated = [episode(f"s{n}", *(SOLVED if n >= 6 else FAILED), start=n / 16) for n in range(9)]
    found = trial_of(control, treated)
    assert [(one.name, one.lowest, one.highest, one.episodes) for one in found.parts] == [
        ("lower", 0, 2 / 16, 3),
        ("middle", 3 / 16, 5 / 16, 3),
        ("upper", 6 / 16, 8 / 16, 3),
    ]
    changes = [
        one.difference.interval.value
        for part in found.parts
        for one in part.effects
        if one.outcome == "solved" and one.difference is not None
    ]
    assert changes == [0, 0, 1]


def test_equal_skill_is_not_cut_apart() -> None:
    control = [episode(f"s{n}", *FAILED, start=0.5 * (n == 0)) for n in range(9)]
    found = trial_of(control, control)
    assert [(one.name, one.episodes) for one in found.parts] == [("lower", 8), ("upper", 1)]
    assert found.parts[1].effects == ()


def test_what_cannot_be_compared_is_told() -> None:
    one, two = [episode("s", *SOLVED), episode("t", *SOLVED)], [episode("s", *SOLVED)]
    with pytest.raises(UsageError, match="'none' and 'tutor' were not played from the same"):
        trial_of(one, two)
    with pytest.raises(TooFewError, match="at least 2 students"):
        trial_of(two, two)
    with pytest.raises(UsageError, match="at least two arms"):
        compare_arms({"none": one})


def test_everything_is_told_as_json() -> None:
    found = trial_of(
        [episode("s", *SOLVED), episode("t", *FAILED)],
        [episode("s", *SOLVED)] * 1 + [episode("t", *SOLVED)],
    )
    told = json.loads(json.dumps(found.to_json()))
    assert len(told["effects"]) == 2 * len(OUTCOMES)
    assert {one["verdict"] for one in told["effects"]} == {"", "no difference shown"}


def test_arms_have_a_folder_each(tmp_path: Path) -> None:
    arms = ["silent", "hf:runs/a", "hf:runs-a", "trial.html", "../up"]
    folders = arm_folders(tmp_path, arms)
    assert folders["silent"] == tmp_path / "silent"
    assert len(set(folders.values())) == len(arms)
    assert all(one.parent == tmp_path and one.name[0] not in ".-" for one in folders.values())
    assert "trial.html" not in {one.name for one in folders.values()}
    with pytest.raises(UsageError, match="named twice"):
        arm_folders(tmp_path, ["silent", "silent"])
    with pytest.raises(UsageError, match="at least two tutors"):
        arm_folders(tmp_path, ["silent"])


def keys_drawn(course: Course, seed: int, grader: Grader) -> frozenset[tuple[str, str]] | None:
    """The two trajectories that take part; None where both are of one student."""
    try:
        drawn = draw_trajectories(course, 2, seed, TRIAL, grader)
    except TooFewError:
        return None
    assert len(drawn.trajectories) == 2
    return frozenset(one.key for one in drawn.trajectories)


def test_who_takes_part_depends_on_the_seed_alone(small_course: Course, grader: Grader) -> None:
    reversed_course = replace(
        small_course, trajectories=tuple(reversed(tuple(small_course.trajectories)))
    )
    drawn = set()
    for seed in range(8):
        first, again = (keys_drawn(one, seed, grader) for one in (small_course, reversed_course))
        assert first == again
        drawn.add(first)
    # cem was right at once and needs no tutor; of two trajectories of ann's there is no trial.
    ann, other, ben = ("ann", "add"), ("ann", "double"), ("ben", "add")
    assert drawn == {frozenset({ann, ben}), frozenset({other, ben}), None}
    of_one = next(seed for seed in range(8) if keys_drawn(small_course, seed, grader) is None)
    with pytest.raises(TooFewError, match="all 2 trajectories drawn are of 'ann': take more"):
        draw_trajectories(small_course, 2, of_one, TRIAL, grader)
    assert len(draw_trajectories(small_course, 99, 0, TRIAL, grader).trajectories) == 3
    cem = replace(small_course, trajectories=small_course.trajectories[3:])
    with pytest.raises(UsageError, match="nobody to tutor"):
        draw_trajectories(cem, 2, 0, TRIAL, grader)


class Copies:
    """Submits what the tutor says, or else nothing new."""

    name = "copies"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        return [split_message(dialog[-1]["content"])[1] or "x = 1" for dialog in dialogs]


class Tells:
    """A tutor that gives a solution away, after the first submission of its own."""

    name = "tells"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        return [
            f"```python\n{RIGHT}```" if info["step"] and info["assignment_id"] == "add" else ""
            for info in infos
        ]


def test_outcomes_and_leaks_of_what_was_played(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    arms = {}
    for tutor in (SilentTutor(), Tells()):
        run = rollout(
            small_course,
            Copies(),
            tmp_path / tutor.name,
            protocol=TRIAL,
            grader=grader,
            tutor=tutor,
        )
        arms[tutor.name] = tutored_episodes(
            read_records(run), small_course, small_course, grader, horizon=TRIAL.rules.horizon
        )
    found = compare_arms(arms, samples=50)
    assert (found.students, found.episodes) == (2, 3)
    told = {one.key[:2]: one for one in arms["tells"]}
    for student in ("ann", "ben"):
        one = told[student, "add"]
        assert (one.solved, one.submissions, one.messages) == (1, 2, 1)
        assert (one.leak_max, one.leak_mean, one.leak_total) == (1, 1, 1)
        assert [bool(turn.message) for turn in one.turns] == [False, True]
    assert told["ann", "double"].messages == 0
    assert {one.messages for one in arms["silent"]} == {0}
    ann = next(one for one in small_course.trajectories if one.key == ("ann", "add"))
    assert told["ann", "add"].before[-1][0] == ann.submissions[told["ann", "add"].key[2] - 1].code


class LineByLine:
    """Gives a solution away, a line a message."""

    name = "lines"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        lines = ("total = 2 * int(input())", "print(total)")
        return [f"Write\n{lines[info['step'] % 2]}\nhere." for info in infos]


def test_what_is_given_away_line_by_line_is_given_away_in_all(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    double = small_course.assignment("double")
    solution = "total = 2 * int(input())\nprint(total)\n"
    course = replace(
        small_course,
        assignments={**small_course.assignments, "double": replace(double, solutions=(solution,))},
    )
    run = rollout(
        course, Copies(), tmp_path / "r", protocol=TRIAL, grader=grader, tutor=LineByLine()
    )
    found = tutored_episodes(read_records(run), course, course, grader, horizon=10)
    [one] = [one for one in found if one.key[1] == "double"]
    assert one.messages == 10
    assert one.leak_mean <= one.leak_max <= one.leak_total
    assert one.leak_total > 0.8


def test_records_without_a_tutor_are_refused(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    run = rollout(small_course, Copies(), tmp_path / "r", protocol=TRIAL, grader=grader)
    with pytest.raises(UsageError, match="no column message"):
        tutored_episodes(read_records(run), small_course, small_course, grader, horizon=10)


def test_one_student_is_too_few_however_many_trajectories(
    small_course: Course, grader: Grader
) -> None:
    of_ann = [one for one in small_course.trajectories if one.student_id in ("ann", "cem")]
    alone = replace(small_course, trajectories=tuple(of_ann))
    with pytest.raises(TooFewError, match="and only 'ann' can be tutored here"):
        draw_trajectories(alone, 9, 0, TRIAL, grader)
    nobody_else = replace(alone, trajectories=tuple(of_ann[:2]))
    with pytest.raises(TooFewError, match="and only 'ann' can be tutored here"):
        draw_trajectories(nobody_else, 2, 0, TRIAL, grader)


@pytest.fixture
def invoke(small_course: Course, tmp_path: Path) -> Callable[..., Any]:
    """Runs `novicegym tutor compare silent feedback ...` on the small course."""
    save_course(small_course, tmp_path / "small")
    command = ("tutor", "compare", "silent", "feedback", "--course", str(tmp_path / "small"))
    return lambda *arguments: CliRunner().invoke(app, [*command, "-n", "3", *arguments])


def test_the_command_plays_compares_and_goes_on(invoke: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "t"
    first = invoke("--out", str(out), "--json", "--samples", "50")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert told["arms"] == ["silent", "feedback"]
    assert told["episodes"] == 3
    assert told["about"]["student"] == "novice"
    assert (out / "trial.html").is_file()
    assert json.loads((out / "trial.json").read_text("utf-8")) == told
    kept = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    assert {path.relative_to(out).parts[0] for path in kept} == {"silent", "feedback"}
    # One arm is lost; the other is as it was.
    lost = next(path for path in kept if "feedback" in path.parts)
    lost.unlink()
    again = invoke("--out", str(out), "--power", "--samples", "50", "--effect", "solved=-0.25")
    assert again.exit_code == 0, again.output
    assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == kept
    assert all(len(line) <= 80 for line in again.stdout.splitlines())
    assert "feedback, solved -0.250" in again.stdout
    # Another arm is added to what is there.
    more = invoke("nobody:here", "--out", str(out))
    assert isinstance(more.exception, UsageError)
    assert invoke("solution", "--out", str(out), "--samples", "50").exit_code == 0
    assert {path: path.read_bytes() for path in kept} == kept
    assert (out / "solution" / "run.json").is_file()
    # Without it, it is said to be there all the same.
    fewer = invoke("--out", str(out), "--samples", "50")
    assert "not compared here: solution" in fewer.stderr.replace("\n", " ")
    assert "not compared here" not in first.stderr


def test_a_tutor_that_fails_is_told_with_its_reason(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds the current folder
    (tmp_path / "failing_tutors.py").write_text(
        "class Raises:\n    name = 'raises'\n    def __init__(self, course, seed): ...\n"
        "    def act(self, dialogs, infos): raise ValueError('boom')\n"
    )
    result = invoke("failing_tutors:Raises", "--out", "t", "--samples", "50")
    assert result.exit_code == 0, result.output
    (tmp_path / "failing_factory.py").write_text(
        "def made(course, seed): raise KeyError('token')\n"
    )
    never = invoke("failing_factory:made", "--out", "new", "--samples", "50")
    assert isinstance(never.exception, UsageError)
    assert "its factory failed: KeyError: 'token'" in str(never.exception)
    assert not Path("new").exists()
    told = " ".join(result.stderr.split())
    assert re.search(r"failing_tutors:Raises gave no answer (\d+) of \1 times; at first: Val", told)
    assert "silent gave no answer" not in told


def test_an_arm_that_cannot_be_is_told_before_any_other_is_played(
    invoke: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "t"
    assert invoke("--out", str(out), "--samples", "50").exit_code == 0
    shutil.rmtree(out / "silent")
    (out / "solution").mkdir()
    (out / "solution" / "notes.txt").write_text("mine", encoding="utf-8")
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for wrong, said in (
        (("--seed", "1"), r"feedback holds a run with other settings \(.*seed"),
        (("solution",), "solution holds other files"),
    ):
        with pytest.raises(UsageError, match=said):
            raise invoke(*wrong, "--out", str(out), "--samples", "50").exception
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == kept
        assert not (out / "silent").exists()
    # What is missing of the trial that is there is played.
    assert invoke("--out", str(out), "--samples", "50").exit_code == 0


def test_the_table_is_there_before_the_page(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("novicegym.eval.report.trial.dialogues", interrupted)
    found = invoke("--out", str(tmp_path / "t"), "--samples", "50")
    assert found.exit_code != 0
    assert "share solved" in found.stdout
    assert (tmp_path / "t" / "trial.json").is_file()


def test_an_effect_beyond_what_can_be_loses_nothing_of_the_trial(
    invoke: Callable[..., Any], tmp_path: Path
) -> None:
    """How much an outcome can change is known when it has been played."""
    out = tmp_path / "t"
    settings = ("--out", str(out), "--samples", "50", "--json")
    without = json.loads(invoke(*settings).stdout)
    found = invoke("--power", "--effect", "solved=1", *settings)
    assert isinstance(found.exception, UsageError)
    assert "an effect of +1 on solved cannot be" in str(found.exception)
    assert json.loads(found.stdout) == without
    assert json.loads((out / "trial.json").read_text("utf-8")) == without
    assert without["power"] == []
    assert (out / "trial.html").is_file()


@pytest.mark.parametrize("wrong", [("silnt",), ("silent", "--student", "novce")])
def test_a_slip_in_a_name_is_told_before_the_course_is_opened(wrong: tuple[str, ...]) -> None:
    command = ["tutor", "compare", "feedback", *wrong, "-c", "no_such_course", "--out", "t"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, UsageError)
    assert "Did you mean" in str(result.exception)


_OWN = """
import random

class Guesses:
    name = "guesses"

    def __init__(self, seed):
        self.random = random.Random(seed)

    def act(self, dialogs, infos):
        return [f"x = {self.random.randrange(10**9)}" for _ in dialogs]

class Quiet:
    name = "quiet"

    def act(self, dialogs, infos):
        return [""] * len(dialogs)

def student(course, seed=0):
    return Guesses(seed)

def tutor(course, seed=0):
    return Quiet()
"""


def test_a_student_with_a_state_is_the_same_in_every_arm(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_trial_chairs.py").write_text(_OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "t"
    found = invoke(
        "own_trial_chairs:tutor",
        *("--student", "own_trial_chairs:student", "--out", str(out), "--samples", "50", "--json"),
    )
    assert found.exit_code == 0, found.output
    silent, own = (
        [path.read_bytes() for path in sorted(next(out.glob(arm)).glob("episodes/*.parquet"))]
        for arm in ("silent", "own_trial_chairs-*")
    )
    assert silent
    assert silent == own
    # It did submit what it drew, and that of another seed is other.
    other = tmp_path / "u"
    arguments = ("--student", "own_trial_chairs:student", "--out", str(other), "--seed", "1")
    assert invoke(*arguments, "--samples", "50").exit_code == 0
    told = json.loads((other / "trial.json").read_text("utf-8"))
    assert told["seed"] == told["about"]["seed"] == 1
    assert read_records(out / "silent").column("generated_code") != read_records(
        other / "silent"
    ).column("generated_code")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--effect", "solved=0.1"), "--effect goes with --power"),
        (("--power", "--effect", "leak=0.1"), "leak"),
        (("--power", "--effect", "solved=0"), "other than 0"),
        (("--power", "--effect", "solved=1.5"), "from -1 to 1, got 1.5"),
        (("--power", "--effect", "submissions=-10"), "from -9 to 9, got -10"),
        (("--power", "--effect", "final_grade=nan"), "got nan"),
        (("--power", "--effect", "solved=much"), "takes a number, got 'much'"),
        (("--split", "assignments:double"), "and only 'ann' can be tutored here"),
        (("--student", "retrieval"), "'retrieval' does not listen"),
        (("--env-workers", "2"), "go with --ray"),
        (("hf:some/model", "--ray"), "without --ray"),
        (("nextstep",), "next_step"),
        (("silent",), "named twice"),
        (("on_request:bughint",), "bug_hint"),
        (("on_request:hf:no_such_folder",), "no model directory 'no_such_folder'"),
        (("on_request:hf:some/model", "--ray"), "without --ray"),
        (("nobody:here",), "no module 'nobody'"),
        (("nobody.at_all:here",), "no module 'nobody'"),
        (("math.at_all:here",), "no module 'math.at_all'"),
        (("openai:model",), "OPENAI_API_KEY"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_played(
    invoke: Callable[..., Any],
    tmp_path: Path,
    wrong: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = invoke("--out", str(tmp_path / "t"), *wrong)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert not (tmp_path / "t").exists()
