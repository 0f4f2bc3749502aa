"""progsnap2:PATH: events, code states in both forms, tests beside the log, the real ITAP logs."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from novicegym.courses.load import load_course, load_with_report
from novicegym.courses.model import Submission, Trajectory
from novicegym.courses.readers.assignments import open_assignments
from novicegym.courses.suite import CallCase
from novicegym.courses.syntax import compiles
from novicegym.errors import CourseError, UsageError

HEADER = (
    "EventType",
    "EventID",
    "Order",
    "SubjectID",
    "ToolInstances",
    "CodeStateID",
    "ServerTimestamp",
    "ProblemID",
    "Correct",
)
EVENTS = (
    ("Submit", "e3", "3", "s1", "Py", "c2", "2024-01-01T10:00:00", "add", "TRUE"),
    ("Submit", "e1", "1", "s1", "Py", "c1", "2024-01-01T10:00:00", "add", "0"),
    ("X-HintRequest", "e2", "2", "s1", "Py", "c1", "2024-01-01T10:00:00", "add", "FALSE"),
    ("Run.Program", "e4", "4", "s2", "Py", "c1", "2024-01-01T10:00:00", "add", "NA"),
    ("File.Edit", "e5", "5", "s2", "Py", "c1", "", "", ""),
    ("Submit", "e6", "6", "s2", "Py", "c1", "", "add", "NA"),
    ("Submit", "e7", "7", "s2", "Py", "c2", "2024-01-01T10:00:00", "untested", "FALSE"),
)
CODES = {"c1": "def add(a, b)\r\n    pass", "c2": "def add(a, b):\n    return a + b"}
TESTS = [
    {
        "assignment_id": "add",
        "title": "Add",
        "prompt": "Write add(a, b).",
        "entry_point": "add",
        "kind": "function",
        "cases": [{"args": [1, 2], "expected": 3}],
        "edge_cases": [{"args": ["", ""], "expected": ""}],
        "tolerance": 1e-9,
        "strict_number_type": True,
    }
]
AT = datetime(2024, 1, 1, 10)
EXPECTED = [
    Trajectory(
        "s1",
        "add",
        None,
        (
            Submission("def add(a, b)\n    pass", AT, 0.0),
            Submission("def add(a, b):\n    return a + b", AT, 1.0),
        ),
    ),
    Trajectory("s2", "add", None, (Submission("def add(a, b)\n    pass"),)),
]


def csv_text(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def data_set(
    header: Sequence[str] = HEADER,
    events: Sequence[Sequence[str]] = EVENTS,
    codes: Mapping[str, str] = CODES,
    representation: str = "Table",
) -> dict[str, bytes]:
    """The files of a data set by name."""
    files = {
        "DatasetMetadata.csv": csv_text(
            [("Property", "Value"), ("Version", "6"), ("CodeStateRepresentation", representation)]
        ),
        "MainTable.csv": csv_text([header, *events]),
        "assignments.json": json.dumps(TESTS).encode(),
        "LinkTables/LinkEventGrade.csv": b"EventID,X\ne1,\xff\n",
    }
    if representation == "Table":
        files["CodeStates/CodeStates.csv"] = csv_text([("CodeStateID", "Code"), *codes.items()])
    else:
        files |= {
            f"CodeStates/{state}/main.py": code.encode("utf-8", "surrogateescape")
            for state, code in codes.items()
        }
    return files


def write(files: Mapping[str, bytes], folder: Path) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return f"progsnap2:{folder}"


@pytest.mark.parametrize("representation", ["Table", "Directory"])
def test_both_forms_of_code_states_give_the_same_course(
    representation: str, tmp_path: Path
) -> None:
    course, report = load_with_report(
        write(data_set(representation=representation), tmp_path / "d")
    )
    assert list(course.trajectories) == EXPECTED
    assert (course.name, course.synthetic) == ("d", False)
    [assignment] = course.assignments.values()
    assert assignment.tests.cases == (CallCase("add(1, 2)", 3, "", 1e-9, "strict"),)
    assert assignment.kind == "lab"
    left_out = [(out.reason, out.subject, out.rows, out.trajectories) for out in report.left_out]
    assert left_out == [
        ("assignment without tests", "untested", 1, 1),
        ("event", "File.Edit", 1, None),
        ("event", "Run.Program", 1, None),
        ("event", "X-HintRequest", 1, None),
    ]
    assert report.rows_read == report.submissions + sum(out.rows for out in report.left_out) == 7


@pytest.mark.parametrize("top", ["", "wrapped-1.0/"])
@pytest.mark.parametrize("representation", ["Table", "Directory"])
def test_zip_reads_like_the_directory(top: str, representation: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("__MACOSX/._x", b"")
        for name, content in data_set(representation=representation).items():
            archive.writestr(top + name, content)
    course = load_course(f"progsnap2:{tmp_path / 'd.zip'}")
    assert list(course.trajectories) == EXPECTED
    assert course.name == "d"


def test_named_events_are_submissions_too(tmp_path: Path) -> None:
    spec = write(data_set(), tmp_path)
    [_, second] = load_course(spec, events=["Run.Program"]).trajectories
    assert [submission.at for submission in second.submissions] == [AT, None]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (["X-HintRequest"], "X-HintRequest is not an attempt"),
        (["Run.Programm"], "Did you mean 'Run.Program'"),
    ],
)
def test_events_that_are_no_attempts_are_refused(
    events: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        load_course(write(data_set(), tmp_path), events=events)


def test_log_of_other_events_only_tells_which_to_ask_for(tmp_path: Path) -> None:
    spec = write(data_set(events=[EVENTS[3], EVENTS[4]]), tmp_path)
    with pytest.raises(UsageError, match=r"no Submit events, but Run\.Program"):
        load_course(spec)


def test_score_order_and_term_by_other_columns(tmp_path: Path) -> None:
    header = (
        "SubjectID", "EventType", "Score", "X-Correct", "CodeStateID", "AssignmentID",
        "ServerTimestamp", "CourseID",
    )  # fmt: skip
    events = [
        ("s1", "Submit", "0.25", "TRUE", "c1", "add", "2024-01-01T11:00:00", "fall"),
        ("s1", "Submit", "", "TRUE", "c2", "add", "2024-01-01T09:00:00", "fall"),
        ("s1", "Submit", "NA", "", "c2", "add", "2024-01-01T12:00:00", "fall"),
    ]
    [trajectory] = load_course(write(data_set(header, events), tmp_path)).trajectories
    assert trajectory.term == "fall"
    assert [s.logged_grade for s in trajectory.submissions] == [1.0, 0.25, None]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("SubjectID", "", "no student"),
        ("ProblemID", "", "no assignment"),
        ("CodeStateID", "c9", "unknown code state"),
        ("CodeStateID", "", "no code state"),
        ("ServerTimestamp", "soon", "not a time"),
        ("Order", "", "not a whole number"),
        ("Order", "1.5", "not a whole number"),
        ("Correct", "maybe", "neither true nor false"),
        ("SubjectID", "s\udcff", "not valid UTF-8"),
        ("EventType", "", "no event type"),
    ],
)
@pytest.mark.parametrize("representation", ["Table", "Directory"])
def test_bad_event_is_named_or_set_aside(
    representation: str, column: str, value: str, reason: str, tmp_path: Path
) -> None:
    bad = tuple(
        value if name == column else cell for name, cell in zip(HEADER, EVENTS[0], strict=True)
    )
    spec = write(data_set(events=[*EVENTS, bad], representation=representation), tmp_path / "d")
    with pytest.raises(CourseError, match=rf"MainTable\.csv, row 9, field '{column}'.*{reason}"):
        load_course(spec)
    course, report = load_with_report(spec, bad_rows="skip", rejects=tmp_path / "rejects")
    assert list(course.trajectories) == EXPECTED
    assert (report.rows_read, report.rejected_log_rows) == (8, 1)
    [reject] = map(json.loads, (tmp_path / "rejects").read_text().splitlines())
    assert (reject["row"], reject["field"], reject["value"]) == (9, column, value)


def test_grade_out_of_range_is_a_bad_row_that_tells_of_the_scale(tmp_path: Path) -> None:
    header = [name.replace("Correct", "Score") for name in HEADER]
    spec = write(data_set(header, [(*EVENTS[0][:-1], "66")]), tmp_path)
    message = r"row 2, field 'Score', value '66'.*out of range, 0 to 1; .* give grade_scale=100 "
    with pytest.raises(CourseError, match=message) as caught:
        load_course(spec)
    assert "bad-rows" not in str(caught.value)
    [trajectory] = load_course(spec, grade_scale=100).trajectories
    assert [submission.logged_grade for submission in trajectory.submissions] == [0.66]
    with pytest.raises(UsageError, match="grade_scale must be a number above 0, got -1"):
        load_course(spec, grade_scale=-1)


def test_undecodable_program_is_named_and_takes_its_events_with_it(tmp_path: Path) -> None:
    codes = CODES | {"c2": "print('\udce9')"}
    spec = write(data_set(codes=codes), tmp_path / "table")
    with pytest.raises(CourseError, match=r"CodeStates\.csv, row 3, field 'Code'.*UTF-8"):
        load_course(spec)
    rejects = tmp_path / "rejects"
    course, report = load_with_report(spec, bad_rows="skip", rejects=rejects)
    assert [len(t.submissions) for t in course.trajectories] == [1, 1]
    # The code state and the one event that would be kept.
    assert (len(rejects.read_text().splitlines()), report.rejected_log_rows) == (2, 1)
    spec = write(data_set(codes=codes, representation="Directory"), tmp_path / "folders")
    with pytest.raises(CourseError, match=r"row 2, field 'CodeStateID'.*main\.py: .*UTF-8"):
        load_course(spec)


def test_state_of_several_files_needs_to_tell_which(tmp_path: Path) -> None:
    files = data_set(representation="Directory")
    files["CodeStates/c1/notes.txt"] = b"not a program"
    assert list(load_course(write(files, tmp_path / "one")).trajectories) == EXPECTED
    files["CodeStates/c1/other.py"] = b"pass"
    with pytest.raises(CourseError, match=r"cannot tell which file .* main\.py, notes\.txt, other"):
        load_course(write(files, tmp_path / "two"))
    header = [*HEADER, "CodeStateSection"]
    rows = [(*event, "other.py" if event[5] == "c1" else "") for event in EVENTS]
    files["MainTable.csv"] = csv_text([header, *rows])
    [first, _] = load_course(write(files, tmp_path / "two")).trajectories
    assert first.submissions[0].code == "pass"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"MainTable.csv": None}, CourseError, r"MainTable\.csv: no such file"),
        ({"CodeStates/CodeStates.csv": None}, CourseError, r"CodeStates\.csv: no such file"),
        ({"assignments.json": None}, UsageError, r"give tests=FILE .* put assignments\.json"),
        ({"assignments.json": b"{"}, CourseError, r"assignments\.json: not JSON"),
        ({"assignments.json": b'[{"assignment_id": "a"}]'}, CourseError, r"row 1, field 'cases'"),
        ({"MainTable.csv": b"EventType,Order\n"}, CourseError, "columns SubjectID, CodeStateID"),
        (
            {"DatasetMetadata.csv": b"Property,Value\nCodeStateRepresentation,Git\n"},
            UsageError,
            "representation 'Git' are not read",
        ),
    ],
)
def test_what_is_missing_or_broken_is_named(
    change: dict[str, bytes | None], error: type[Exception], message: str, tmp_path: Path
) -> None:
    files = {name: content for name, content in data_set().items() if name not in change}
    files |= {name: content for name, content in change.items() if content is not None}
    with pytest.raises(error, match=message):
        load_course(write(files, tmp_path))


def test_neither_directory_nor_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no")
    with pytest.raises(CourseError, match="neither a directory nor a zip"):
        load_course(f"progsnap2:{tmp_path / 'x.zip'}")
    with pytest.raises(UsageError, match="no such directory or zip"):
        load_course(f"progsnap2:{tmp_path / 'y.zip'}")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"cases": [{"args": [1], "expected": {"a": 1}}]}, "not a test value"),
        ({"cases": [{"args": [{"float": "nan"}], "expected": 1}]}, "write the call as `expr`"),
        ({"cases": []}, "the assignment has no cases"),
        (
            {"cases": [{"input": "1", "output": "2"}]},
            r"case 1 has the keys \{input, output\}; a case has \{args, expected\}, "
            r"\{expr, expected\} or \{stdin, stdout\}",
        ),
        ({"cases": [{"stdin": "1", "output": "2"}]}, r"the keys \{stdin, output\}; a case has"),
        (
            {"cases": [{"stdin": "", "stdot": ""}]},
            r"\{stdin, stdot\}: unknown key 'stdot'; did you mean 'stdout'; a case has",
        ),
        ({"cases": [{}]}, r"case 1 has the keys \{none\}"),
        ({"cases": ["1"]}, "case 1 is not an object but str"),
        (
            {"cases": [{"args": [1, 2], "expected": 3}, {"args": [1, 2], "expect": 3}]},
            "case 2 lacks 'expected': unknown key 'expect'; did you mean 'expected'",
        ),
        ({"cases": [{"expr": "add(1, 2)"}]}, "case 1 lacks 'expected'$"),
        (
            {"cases": [{"args": [1, 2], "expected": 3, "tolerence": 1}]},
            "case 1: unknown key 'tolerence'; did you mean 'tolerance'",
        ),
        ({"forbiden_methods": []}, "unknown key 'forbiden_methods'; did you mean 'forbidden_me"),
        ({"entry_point": None}, "no entry_point"),
    ],
)
def test_tests_that_cannot_be_used_are_errors(
    entry: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "tests.json"
    path.write_text(json.dumps([*TESTS, TESTS[0] | {"assignment_id": "b"} | entry]))
    with pytest.raises(CourseError, match=rf"row 2: .*{message}"):
        open_assignments(path)


def test_itap_logs_load_with_the_counts_their_description_gives(shared: Path) -> None:
    itap = shared / "data" / "itap"
    if not itap.is_dir():
        pytest.skip(f"the ITAP logs are not at {itap}")
    course, report = load_with_report(f"progsnap2:{itap}")
    assert report.rows_read == 2378
    untested = {
        out.subject: out.rows for out in report.left_out if out.reason == "assignment without tests"
    }
    assert sorted(untested) == [
        "createNumberBlock", "findTheCircle", "friendOfFriends", "mostAnagrams", "treasureHunt",
    ]  # fmt: skip
    assert report.submissions + sum(untested.values()) == 2123
    assert [out.rows for out in report.left_out if out.subject == "X-HintRequest"] == [255]
    assert len(course.assignments) == 33
    submissions = [s for t in course.trajectories for s in t.submissions]
    assert len(submissions) == report.submissions
    # What was logged correct ran: the stray backslashes are gone, real TabErrors stay.
    correct = [s for s in submissions if s.logged_grade == 1]
    assert len(correct) == 554
    assert all(compiles(s.code) for s in correct)
    assert sum(not compiles(s.code) for s in submissions) > 300
    rules = {repair.rule for repair in report.repairs}
    assert rules == {"crlf_to_lf", "drop_trailing_backslash"}


def test_nus_assignments_are_read(shared: Path) -> None:
    path = shared / "data" / "nus" / "assignments.json"
    if not path.is_file():
        pytest.skip(f"the NUS assignments are not at {path}")
    assignments = open_assignments(path)
    assert len(assignments) == 5
    assert assignments["question_4"].tests.forbidden_methods == ("sort",)
    assert assignments["question_2"].tests.setup.startswith("tuple_of_possible_birthdays")
    first = assignments["question_1"].tests.cases[0]
    assert first == CallCase("search(42, (-5, 1, 3, 5, 7, 10))", 6, "001", types="python")
    assert all(len(assignment.solutions) == 1 for assignment in assignments.values())
