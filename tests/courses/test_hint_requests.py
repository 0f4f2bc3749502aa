"""Hint requests of a ProgSnap2 data set: beside the course, counted like its submissions."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from novicegym.courses.load import load_course
from novicegym.courses.readers.hint_requests import HintRequest, read_hint_requests
from novicegym.errors import CourseError, UsageError

Event = tuple[str, str, str, str]
"""(type, student, assignment, code state), in their order."""

CODES = {
    "c0": "def add(a, b)",
    "c1": "def add(a, b):\r\n    pass\\",
    "c2": "def add(a, b):\n    1\\",
}
HEADER = "EventType,Order,SubjectID,CodeStateID,ServerTimestamp,ProblemID,Correct"
EVENTS: tuple[Event, ...] = (
    ("X-HintRequest", "s2", "add", "c0"),
    ("Submit", "s1", "add", "c0"),
    ("X-HintRequest", "s1", "add", "c0"),
    ("X-HintRequest", "s1", "add", "c1"),
    ("Compile", "s1", "add", "c1"),
    ("Submit", "s1", "untested", "c0"),
    ("X-HintRequest", "s1", "untested", "c0"),
    ("Submit", "s1", "add", "c1"),
    ("X-HintRequest", "s1", "add", "c1"),
    ("Submit", "s1", "add", "c2"),
)


def write_log(folder: Path, events: Sequence[Event], correct: Sequence[str] = ()) -> Path:
    """Write a data set whose rows stand in the reverse of their order."""
    (folder / "CodeStates").mkdir(parents=True)
    with (folder / "CodeStates" / "CodeStates.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("CodeStateID", "Code"), *CODES.items()])
    with (folder / "MainTable.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER.split(","))
        for order, (kind, student, assignment, code) in reversed(list(enumerate(events))):
            flag = "TRUE" if code in correct else "FALSE"
            writer.writerow(
                (kind, order, student, code, f"2024-01-01T10:{order:02}:00", assignment, flag)
            )
    tests = {
        "assignment_id": "add",
        "prompt": "Write add(a, b).",
        "cases": [{"args": [1, 2], "expected": 3}],
        "entry_point": "add",
    }
    (folder / "assignments.json").write_text(json.dumps([tests]))
    return folder


def at(minute: int) -> datetime:
    return datetime(2024, 1, 1, 10, minute)


def test_a_request_says_after_how_many_submissions_it_came(tmp_path: Path) -> None:
    requests = read_hint_requests(write_log(tmp_path / "log", EVENTS))
    assert requests == (
        HintRequest("s1", "add", 1, "def add(a, b)", at(2)),
        HintRequest("s1", "add", 1, "def add(a, b):\n    pass\\", at(3)),
        HintRequest("s1", "add", 2, "def add(a, b):\n    pass\\", at(8)),
        HintRequest("s2", "add", 0, "def add(a, b)", at(0)),
    )


def test_it_counts_what_the_course_counts(tmp_path: Path) -> None:
    folder = write_log(tmp_path / "log", EVENTS)
    options = {"events": ("Compile",)}
    after = [one.after for one in read_hint_requests(folder, **options)]  # type: ignore[arg-type]
    assert after == [1, 1, 3, 0]
    [trajectory] = load_course(f"progsnap2:{folder}", **options).trajectories
    assert len(trajectory.submissions) == 4


def test_programs_are_repaired_as_in_the_course(tmp_path: Path) -> None:
    folder = write_log(tmp_path / "log", EVENTS, correct=("c2",))
    course = load_course(f"progsnap2:{folder}")
    [trajectory] = course.trajectories
    codes = [submission.code for submission in trajectory.submissions]
    assert codes[1] == "def add(a, b):\n    pass"
    assert [one.code for one in read_hint_requests(folder)[1:3]] == [codes[1]] * 2


def test_a_request_logged_correct_proves_no_repair(tmp_path: Path) -> None:
    events = [*EVENTS[:-1], ("X-HintRequest", "s1", "add", "c2")]
    folder = write_log(tmp_path / "log", events, correct=("c2",))
    assert read_hint_requests(folder)[1].code.endswith("\\")


def test_a_zip_reads_like_its_folder_and_a_log_without_requests_has_none(tmp_path: Path) -> None:
    folder = write_log(tmp_path / "log", EVENTS)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    assert read_hint_requests(packed) == read_hint_requests(folder)
    submits = [event for event in EVENTS if event[0] != "X-HintRequest"]
    assert read_hint_requests(write_log(tmp_path / "none", submits)) == ()


def test_errors_are_those_of_the_course(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ProgSnap2 data set"):
        read_hint_requests(tmp_path / "missing")
    folder = write_log(tmp_path / "log", [*EVENTS, ("X-HintRequest", "s1", "add", "lost")])
    with pytest.raises(CourseError, match="unknown code state"):
        read_hint_requests(folder)
    rejects = tmp_path / "rejects.jsonl"
    assert len(read_hint_requests(folder, bad_rows="skip", rejects=rejects)) == 4
    assert "lost" in rejects.read_text()
    with pytest.raises(UsageError, match="cannot be a submission"):
        read_hint_requests(folder, events=("X-HintRequest",))


def test_requests_of_the_itap_logs_fit_their_course(shared: Path) -> None:
    itap = shared / "data" / "itap"
    if not itap.is_dir():
        pytest.skip(f"the ITAP logs are not at {itap}")
    requests = read_hint_requests(itap)
    course = load_course(f"progsnap2:{itap}")
    made = {trajectory.key: trajectory.submissions for trajectory in course.trajectories}
    assert len(requests) == 229  # of 255: the others are on problems without tests
    assert sum(one.after == 0 for one in requests) == 29
    for one in requests:
        submissions = made.get((one.student_id, one.assignment_id), ())
        assert one.after <= len(submissions)
        if one.after:  # minutes: a request is not before what it comes after
            before = submissions[one.after - 1].at
            assert before is not None
            assert one.at is not None
            assert before <= one.at
