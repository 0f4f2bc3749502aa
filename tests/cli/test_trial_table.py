"""A trial as a screen of text."""

from __future__ import annotations

from fractions import Fraction

from novicegym.cli.trial_table import render_trial
from novicegym.eval.report.trial import About
from novicegym.eval.trial import compare_arms
from novicegym.eval.trial_episodes import Turn, TutoredEpisode
from novicegym.eval.trial_power import power_curves
from novicegym.grading.verdict import Verdict

HOSTILE = "\x1b]0;owned\x07" + "tutor\n" * 30
ABOUT = About(
    course="a\x1b[2Jb",
    synthetic=True,
    student="novice",
    protocol="trial",
    horizon=10,
    seed=0,
    feedback="full",
    runs=(),
)


def arm(*grades: int) -> list[TutoredEpisode]:
    """An episode for each student, by the grade of its one submission; the last was far before."""
    return [
        TutoredEpisode(
            (f"s{number}", "a", 1),
            (("x", Verdict(Fraction(number == len(grades) - 1, 2), "logical")),),
            (Turn("", "", 0.0, "x", Fraction(grade), "logical"),),
            horizon=10,
        )
        for number, grade in enumerate(grades)
    ]


def test_hostile_names_stay_within_the_screen() -> None:
    arms = {HOSTILE: arm(0, 1, 1, 0), "x" * 200: arm(1, 1, 0, 1)}
    trial = compare_arms(arms, samples=20)
    shown = list(render_trial(trial, ABOUT, power_curves(arms, {"solved": 0.1})))
    assert all(len(line) <= 80 for line in shown)
    assert not set("\x1b\x07\n") & set("".join(shown))
    assert "(synthetic)" in shown[0] + shown[1]


def test_a_part_of_one_student_is_said_to_be_too_few() -> None:
    trial = compare_arms({"silent": arm(0, 1, 1, 0), "solution": arm(1, 1, 1, 1)}, samples=20)
    shown = list(render_trial(trial, ABOUT))
    row = shown.index("upper (0.50 to 0.50): 1 episode of 1 student")
    assert shown[row + 1] == "  too few students to compare"
    assert any("3 episodes of 3 students" in line for line in shown)
    assert not any("power" in line for line in shown)
