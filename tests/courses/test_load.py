"""load_course: every form of a course's name, and one clear error for what is none."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from novicegym.courses.load import load_course, load_with_report
from novicegym.courses.model import Course
from novicegym.courses.readers.cells import CellError, as_flag, as_grade, as_order, as_time
from novicegym.courses.store import save_course
from novicegym.errors import UsageError


@pytest.fixture
def directory(small_course: Course, tmp_path: Path) -> Path:
    save_course(small_course, tmp_path / "small")
    return tmp_path / "small"


@pytest.mark.parametrize("kind", [str, Path])
def test_course_directory_is_opened(kind: Any, directory: Path, small_course: Course) -> None:
    course, report = load_with_report(kind(directory))
    assert list(course.trajectories) == list(small_course.trajectories)
    assert dict(course.assignments) == dict(small_course.assignments)
    counts = (report.rows_read, report.submissions, report.trajectories, report.students)
    assert counts == (11, 11, 4, 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cs2", r"unknown course 'cs2'. Did you mean 'cs1'\?.* falconcode:PATH, progsnap2:PATH"),
        ("falconkode:x", r"unknown course 'falconkode'. Did you mean 'falconcode'\?"),
        ("progsnap:/x/y", r"Did you mean 'progsnap2'\?"),
        ("/no/such/course", r"no course at /no/such/course: no such directory"),
        ("{}", r"no course directory: it has no course\.json"),
    ],
)
def test_unknown_course_is_a_usage_error_that_lists_the_forms(
    spec: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_course(spec.format(tmp_path))
    assert "table:PATH" in str(caught.value)


def test_progsnap2_without_its_scheme_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "MainTable.csv").write_text("EventType\n")
    with pytest.raises(UsageError, match=f"call it progsnap2:{tmp_path}"):
        load_course(tmp_path)


def test_table_without_its_scheme_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    for suffix in (".csv", ".TSV", ".jsonl", ".parquet"):
        path = f"logs/log{suffix}"
        with pytest.raises(UsageError, match=f"{path} is no course: no such file; .*table:{path}$"):
            load_course(path)
        Path(path).touch()
        for spec in (path, Path(path)):
            with pytest.raises(UsageError, match=f"{path} is no course dir.*called table:{path}$"):
                load_course(spec)
    with pytest.raises(UsageError, match=r"call that progsnap2:logs$"):
        load_course("logs/MainTable.csv")
    with pytest.raises(UsageError, match=r"unknown course 'tabel'. Did you mean 'table'\?"):
        load_course("tabel:logs/log.csv")


def test_directory_called_like_a_table_is_opened(small_course: Course, tmp_path: Path) -> None:
    save_course(small_course, tmp_path / "log.csv")
    assert load_course(tmp_path / "log.csv").name == small_course.name


def test_options_of_raw_logs_do_not_fit_a_course_directory(directory: Path) -> None:
    with pytest.raises(UsageError, match="tests is an option of falconcode:PATH"):
        load_course(directory, tests="x.json")
    with pytest.raises(UsageError, match="name is an option of"):
        load_with_report(directory, name="x")
    with pytest.raises(UsageError, match=r"unknown way to treat bad rows 'ignore'"):
        load_course(directory, bad_rows="ignore")


def test_report_is_logged_named_and_json(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tests = [{"assignment_id": "a", "prompt": "?", "cases": [{"stdin": "", "stdout": ""}]}]
    (tmp_path / "tests.json").write_text(json.dumps(tests))
    (tmp_path / "log.csv").write_text("student,assignment,code\ns,a,x\ns,b,x\n")
    options: dict[str, Any] = {
        "tests": tmp_path / "tests.json", "bad_rows": "skip", "rejects": tmp_path / "rejects",
        "name": "mine",
    }  # fmt: skip
    with caplog.at_level(logging.INFO, logger="novicegym"):
        assert load_course(f"table:{tmp_path / 'log.csv'}", **options).name == "mine"
    course, report = load_with_report(f"table:{tmp_path / 'log.csv'}", **options)
    assert course.name == "mine"
    assert caplog.messages == report.lines()
    document = json.loads(json.dumps(report.to_json()))
    assert document["rejected"] == [
        {
            "file": str(tmp_path / "log.csv"),
            "field": "assignment",
            "reason": "the tests have no such assignment",
            "rows": 1,
        }
    ]
    assert document["rows_read"] == 2


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("2021-02-03", "2021-02-03T00:00:00"),
        ("2021-02-03T10:11:12.5", "2021-02-03T10:11:12.500000"),
        ("2021-02-03 10:11:12 UTC", "2021-02-03T10:11:12"),
        ("2021-02-03T10:11:12-07:00", "2021-02-03T17:11:12"),
        ("20210203", "2021-02-03T00:00:00"),
        ("2/3/2021 10:11", "2021-02-03T10:11:00"),
        ("02/03/2021 01:11:12 PM", "2021-02-03T13:11:12"),
        ("1612347072", "2021-02-03T10:11:12"),
        ("1612347072.25", "2021-02-03T10:11:12.250000"),
        (1612347072000, "2021-02-03T10:11:12"),
        ("1612347072000001", "2021-02-03T10:11:12.000001"),
    ],
)
def test_times_are_read_in_their_usual_forms(value: object, iso: str) -> None:
    assert as_time(value).isoformat() == iso


@pytest.mark.parametrize("value", ["", "soon", "13/13/2021 10:11", "2021-02-30", True, b"x", "1e9"])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(CellError):
        as_time(value)


def test_numbers_and_flags_are_read_strictly() -> None:
    assert [as_order(v) for v in ("3", 3, 3.0, "3.0", "-1", str(2**63 - 1))] == [
        3, 3, 3, 3, -1, 2**63 - 1,
    ]  # fmt: skip
    for value in ("", "x", "1.5", str(2**63), "nan", "1e400"):
        with pytest.raises(CellError):
            as_order(value)
    assert [as_grade(v, 100) for v in ("0", "50", 100, "1e1")] == [0, 0.5, 1, 0.1]
    for value in ("-1", "100.1", "nan", "", None):
        with pytest.raises(CellError):
            as_grade(value, 100)
    assert [as_flag(v) for v in ("TRUE", "f", 1, 0.0, False, "Yes")] == [
        True, False, True, False, False, True,
    ]  # fmt: skip
    for value in ("2", "", "NA"):
        with pytest.raises(CellError):
            as_flag(value)
