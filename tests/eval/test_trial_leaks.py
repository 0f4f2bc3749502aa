"""What messages of a trial leak: against whose programs, and kept for the next time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from novicegym.cli import app
from novicegym.courses.model import Course, Submission, Trajectory
from novicegym.courses.store import save_course
from novicegym.eval import trial_leaks
from novicegym.eval.trial_leaks import Leaks, Message, kept_leaks, measure_leaks
from novicegym.grading.grader import Grader

WRONG = "x = 1"
OTHER = "def add(a, b):\n    parts = [a, b]\n    return sum(parts)\n"
"""Correct, and little like the assignment's own solution."""
PART = "parts = [a, b]\nreturn sum(parts)"
"""No program, so that only who knows OTHER sees that it gives it away."""


def wrote(student: str, *codes: str, term: str = "t1") -> Trajectory:
    return Trajectory(student, "add", term, tuple(map(Submission, codes)))


@pytest.fixture
def course(small_course: Course) -> Course:
    """Two students who were wrong, and in a later term one who wrote OTHER."""
    return replace(
        small_course,
        trajectories=(
            wrote("ann", WRONG, WRONG),
            wrote("ben", WRONG, WRONG),
            wrote("cem", OTHER, term="t2"),
        ),
    )


def telling(student: str) -> dict[tuple[str, str, int], list[Message]]:
    return {(student, "add", 1): [Message(1, f"```python\n{PART}\n```", WRONG)]}


def test_a_program_that_another_student_wrote_is_given_away(course: Course, grader: Grader) -> None:
    [found] = measure_leaks(telling("ann"), course, course, grader).values()
    assert found.by_step[1] > 0.6
    assert found.total > 0.6
    of_term = replace(course, trajectories=course.trajectories[:2])
    [unknown] = measure_leaks(telling("ann"), course, of_term, grader).values()
    assert unknown.by_step[1] < 0.3
    assert unknown.total < 0.3


def test_a_students_own_later_program_is_not(course: Course, grader: Grader) -> None:
    """A tutor may say what she would have written."""
    [found] = measure_leaks(telling("cem"), course, course, grader).values()
    assert found.by_step[1] < 0.3
    assert found.total < 0.3


def test_nothing_said_is_no_leak_and_progress_is_by_episode(course: Course, grader: Grader) -> None:
    told: list[tuple[int, int]] = []
    messages: Mapping[Any, Sequence[Message]] = {**telling("ann"), ("ben", "add", 1): []}
    found = measure_leaks(
        messages, course, course, grader, lambda done, total: told.append((done, total))
    )
    assert found["ben", "add", 1] == Leaks({}, 0.0)
    assert told == [(0, 2), (1, 2), (2, 2)]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time that leaks are measured."""
    calls: list[int] = []

    def counted(*arguments: Any) -> Any:
        calls.append(1)
        return measure_leaks(*arguments)

    monkeypatch.setattr(trial_leaks, "measure_leaks", counted)
    return calls


def test_leaks_are_measured_once(
    course: Course, grader: Grader, tmp_path: Path, measured: list[int]
) -> None:
    messages = {**telling("ann"), **telling("cem")}
    first = kept_leaks(messages, course, course, grader, tmp_path)
    assert kept_leaks(messages, course, course, grader, tmp_path) == first
    assert first == measure_leaks(messages, course, course, grader)
    assert len(measured) == 1


def test_leaks_of_anything_else_are_measured_anew(
    course: Course,
    grader: Grader,
    tmp_path: Path,
    measured: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [key] = telling("ann")
    [one] = telling("ann")[key]
    of_term = replace(course, trajectories=course.trajectories[:2])
    called_wrong = replace(
        course,
        trajectories=(
            *course.trajectories[:2],
            replace(course.trajectories[2], submissions=(Submission(OTHER, logged_grade=0),)),
        ),
    )
    kept_leaks({key: [one]}, course, course, grader, tmp_path)
    kept = (tmp_path / "leaks.json").read_bytes()
    for said, pool in (
        ([one._replace(text="Look again.")], course),
        ([one._replace(code="x = 2")], course),
        ([one, one._replace(step=2)], course),
        ([one], of_term),
        ([one], called_wrong),
    ):
        before = len(measured)
        found = kept_leaks({key: said}, course, pool, grader, tmp_path)
        assert len(measured) == before + 1
        assert found == measure_leaks({key: said}, course, pool, grader)
        (tmp_path / "leaks.json").write_bytes(kept)
    assert kept_leaks({key: [one]}, course, course, grader, tmp_path)[key].total > 0.6
    assert len(measured) == 6
    monkeypatch.setattr(trial_leaks, "_own_code", lambda: "changed")
    kept_leaks({key: [one]}, course, course, grader, tmp_path)
    assert len(measured) == 7


@pytest.mark.parametrize("damaged", ["", "{", "[]", "{}", '{"of": "x"}'])
def test_a_damaged_file_is_written_anew(
    course: Course, grader: Grader, tmp_path: Path, measured: list[int], damaged: str
) -> None:
    first = kept_leaks(telling("ann"), course, course, grader, tmp_path)
    kept = (tmp_path / "leaks.json").read_bytes()
    (tmp_path / "leaks.json").write_text(damaged, encoding="utf-8")
    assert kept_leaks(telling("ann"), course, course, grader, tmp_path) == first
    assert len(measured) == 2
    assert (tmp_path / "leaks.json").read_bytes() == kept


_OWN = f"""
class Tells:
    name = "tells"

    def act(self, dialogs, infos):
        return ["```python\\n" + {PART!r} + "\\n```"] * len(dialogs)

def tutor(course, seed=0):
    return Tells()
"""


@pytest.fixture
def trial(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[float]]:
    """Plays students of the first term with one who tells PART; returns leak_max and leak_total."""
    (tmp_path / "own_leaking.py").write_text(_OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    save_course(course, tmp_path / "course")
    command = ["tutor", "compare", "silent", "own_leaking:tutor", "-c", str(tmp_path / "course")]
    command += ["-n", "2", "--split", "term:t1", "--json", "--samples", "20"]

    def played(*options: str) -> list[float]:
        result = CliRunner().invoke(app, [*command, *options])
        assert result.exit_code == 0, result.output
        return [
            one["mean"]["value"]
            for one in json.loads(result.stdout)["effects"]
            if one["arm"] == "own_leaking:tutor" and one["outcome"] in ("leak_max", "leak_total")
        ]

    return played


def test_the_split_that_is_played_does_not_cut_what_others_wrote(
    trial: Callable[..., list[float]], tmp_path: Path
) -> None:
    assert min(trial("--out", str(tmp_path / "all"))) > 0.6
    assert max(trial("--out", str(tmp_path / "t1"), "--learn-from", "term:t1")) < 0.3


def test_a_finished_trial_does_not_measure_again(
    trial: Callable[..., list[float]], tmp_path: Path, measured: list[int]
) -> None:
    first = trial("--out", str(tmp_path / "t"))
    assert len(measured) == 2  # an arm each
    assert trial("--out", str(tmp_path / "t")) == first
    assert len(measured) == 2
