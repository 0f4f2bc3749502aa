"""The transcript: a course on disk that grows, whatever happens while it does."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from novicegym.courses.load import load_course
from novicegym.courses.model import Course, Submission, Trajectory
from novicegym.courses.store import save_course
from novicegym.courses.transcript import Transcript
from novicegym.errors import UsageError


def played(student: str, assignment: str, *codes: str) -> Trajectory:
    return Trajectory(student, assignment, None, tuple(map(Submission, codes)))


def test_transcript_is_a_course_at_once_and_grows(tmp_path: Path, small_course: Course) -> None:
    folder = tmp_path / "runs" / "play"
    transcript = Transcript(folder)
    assert len(load_course(str(folder)).trajectories) == 0
    add = small_course.assignment("add")
    first = transcript.add(add, played("p", "add", "a"), synthetic=False)
    grown = replace(
        first,
        submissions=(
            Submission("a", datetime(2025, 1, 2, 3, 4), 0.25, "Grade: 25/100"),
            Submission("b"),
        ),
    )
    transcript.grow(grown)
    course = load_course(str(folder))
    assert list(course.trajectories) == [grown]
    assert dict(course.assignments) == {"add": add}
    assert not course.synthetic
    assert sorted(path.name for path in folder.iterdir()) == [
        "assignments.jsonl",
        "course.json",
        "submissions.parquet",
        "transcript.json",
    ]


def test_second_session_adds_under_another_name(tmp_path: Path, small_course: Course) -> None:
    add, double = small_course.assignment("add"), small_course.assignment("double")
    Transcript(tmp_path / "t").add(add, played("p", "add", "a"), synthetic=True)
    again = Transcript(tmp_path / "t")
    assert again.add(add, played("p", "add", "b"), synthetic=True).student_id == "p@2"
    assert load_course(str(tmp_path / "t")).synthetic
    assert again.add(add, played("p", "add", "c"), synthetic=True).student_id == "p@3"
    assert again.add(double, played("p", "double", "d"), synthetic=False).student_id == "p"
    course = load_course(str(tmp_path / "t"))
    assert [one.key for one in course.trajectories] == [
        ("p", "add"),
        ("p@2", "add"),
        ("p@3", "add"),
        ("p", "double"),
    ]
    assert not course.synthetic  # one human is enough


def test_sessions_at_the_same_time_lose_nothing(tmp_path: Path, small_course: Course) -> None:
    add = small_course.assignment("add")

    def session(number: int) -> str:
        transcript = Transcript(tmp_path / "t")
        mine = transcript.add(add, played("p", "add", f"{number}"), synthetic=False)
        transcript.grow(replace(mine, submissions=(*mine.submissions, Submission("end"))))
        return mine.student_id

    Transcript(tmp_path / "t")
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(session, range(4)))
    stored = {one.student_id: one for one in load_course(str(tmp_path / "t")).trajectories}
    assert sorted(stored) == sorted(names) == ["p", "p@2", "p@3", "p@4"]
    for number, name in enumerate(names):
        assert [one.code for one in stored[name].submissions] == [f"{number}", "end"]


@pytest.mark.parametrize("moved", [[], ["submissions.parquet"]])
def test_move_that_a_crash_cut_short_is_finished(
    moved: list[str], tmp_path: Path, small_course: Course
) -> None:
    add = small_course.assignment("add")
    folder = tmp_path / "t"
    transcript = Transcript(folder)
    first = transcript.add(add, played("p", "add", "a"), synthetic=False)
    later = replace(first, submissions=(*first.submissions, Submission("b")))
    save_course(Course("t", {"add": add}, [later]), folder / "next")
    (folder / ".next.1.tmp").mkdir()  # and another session died while it wrote
    for name in moved:
        (folder / "next" / name).replace(folder / name)
    Transcript(folder)
    assert list(load_course(str(folder)).trajectories) == [later]
    assert not any("next" in path.name for path in folder.iterdir())


def test_course_of_logs_is_not_added_to(tmp_path: Path, small_course: Course) -> None:
    save_course(small_course, tmp_path / "logs")
    with pytest.raises(UsageError, match="neither a transcript"):
        Transcript(tmp_path / "logs")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="neither a transcript"):
        Transcript(tmp_path / "file")


def test_another_assignment_of_the_same_id_is_refused(tmp_path: Path, small_course: Course) -> None:
    add = small_course.assignment("add")
    transcript = Transcript(tmp_path / "t")
    transcript.add(add, played("p", "add", "a"), synthetic=False)
    with pytest.raises(UsageError, match="another assignment 'add'"):
        transcript.add(replace(add, prompt="x"), played("p", "add", "a"), synthetic=False)
    with pytest.raises(UsageError, match="no trajectory"):
        transcript.grow(played("q", "add", "a"))
    assert len(load_course(str(tmp_path / "t")).trajectories) == 1


def test_text_that_is_not_unicode_is_kept_as_far_as_it_goes(
    tmp_path: Path, small_course: Course
) -> None:
    said = Trajectory("p\udc80", "add", None, (Submission("x\ud800", None, 0.0, "\udfff!"),))
    Transcript(tmp_path / "t").add(small_course.assignment("add"), said, synthetic=False)
    [stored] = load_course(str(tmp_path / "t")).trajectories
    assert stored == Trajectory("p?", "add", None, (Submission("x?", None, 0.0, "?!"),))


def test_transcript_that_was_deleted_meanwhile_is_one_error(
    tmp_path: Path, small_course: Course
) -> None:
    transcript = Transcript(tmp_path / "t")
    shutil.rmtree(tmp_path / "t")
    with pytest.raises(FileNotFoundError, match=r"transcript\.json"):
        transcript.add(small_course.assignment("add"), played("p", "add", "a"), synthetic=False)
