"""table:PATH: columns found and named, bad rows told one by one, and nothing lost."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.courses.load import load_course, load_with_report
from novicegym.courses.model import Submission, Trajectory
from novicegym.courses.suite import CallCase
from novicegym.errors import CourseError, UsageError

TESTS = [
    {
        "assignment_id": "add",
        "prompt": "Write add(a, b).",
        "entry_point": "add",
        "cases": [{"args": [1, {"tuple": [2]}], "expected": {"tuple": [3]}}],
    },
    {"assignment_id": "7", "prompt": "Echo.", "cases": [{"stdin": "a\n", "stdout": "a\n"}]},
]
HEADER = ("student_id", "assignment_id", "timestamp", "code", "grade", "feedback", "term")
ROWS = (
    ("s2", "add", "2024-09-02T10:00:00", "x = 1\ny = 2\n", "0.5", "no", "Fall"),
    ("s1", "add", "2024-09-02 11:00:00", 'print("a, b")', "1", "", "Fall"),
    ("s1", "add", "2024-09-02T09:00:00Z", "", "", "NA", "Fall"),
    ("s1", "7", "1725267600", "print('🐍')", "0", "no", ""),
)
EXPECTED = [
    Trajectory("s1", "7", None, (Submission("print('🐍')", datetime(2024, 9, 2, 9), 0.0, "no"),)),
    Trajectory(
        "s1",
        "add",
        "Fall",
        (
            Submission("", datetime(2024, 9, 2, 9), None, None),
            Submission('print("a, b")', datetime(2024, 9, 2, 11), 1.0, None),
        ),
    ),
    Trajectory(
        "s2", "add", "Fall", (Submission("x = 1\ny = 2\n", datetime(2024, 9, 2, 10), 0.5, "no"),)
    ),
]


@pytest.fixture
def tests_file(tmp_path: Path) -> Path:
    path = tmp_path / "tests.json"
    path.write_text(json.dumps(TESTS), "utf-8")
    return path


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(
            [header, *rows]
        )
    return f"table:{path}"


def write_jsonl(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [json.dumps(dict(zip(header, row, strict=True))) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return f"table:{path}"


def write_parquet(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    columns = list(zip(*rows, strict=True))
    pq.write_table(pa.table(dict(zip(header, map(list, columns), strict=True))), path)
    return f"table:{path}"


WRITERS: list[tuple[str, Callable[..., str]]] = [
    ("log.csv", write_csv),
    ("log.tsv", write_csv),
    ("log.jsonl", write_jsonl),
    ("log.parquet", write_parquet),
]


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_every_format_gives_the_same_course(
    name: str, write: Callable[..., str], tests_file: Path, tmp_path: Path
) -> None:
    course, report = load_with_report(write(tmp_path / name, HEADER, ROWS), tests=tests_file)
    assert list(course.trajectories) == EXPECTED
    assert list(course.assignments) == ["add", "7"]
    assert course.assignments["add"].tests.cases == (CallCase("add(1, (2,))", (3,)),)
    assert (course.name, course.synthetic) == ("log", False)
    assert (report.rows_read, report.submissions, report.students) == (4, 4, 2)
    assert report.lines()[0].endswith(
        "log" + name[3:] + ": 4 rows read, 4 submissions kept in 3 trajectories of 2 students "
        "on 2 assignments"
    )


def test_parquet_types_are_read_as_they_are(tests_file: Path, tmp_path: Path) -> None:
    at = datetime(2024, 9, 2, 9, 30, 0, 5)
    table = pa.table(
        {
            "student": [3.0, 3.0],
            "assignment": [7, 7],
            "time": pa.array([at, at], pa.timestamp("ns", "UTC")),
            "code": pa.array(["a", "b"]).dictionary_encode(),
            "score": [True, None],
            "order": [2, 1],
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    course = load_course(f"table:{tmp_path / 'log.parquet'}", tests=tests_file)
    assert list(course.trajectories) == [
        Trajectory("3", "7", None, (Submission("b", at), Submission("a", at, 1.0)))
    ]


def test_columns_and_scale_are_the_users(tests_file: Path, tmp_path: Path) -> None:
    spec = write_csv(
        tmp_path / "log.csv",
        ("who", "what", "text", "points", "Attempt", "student"),
        [("a", "7", "x", "50", "2", "?"), ("a", "7", "y", "12.5", "1", "?")],
    )
    columns = {"student": "who", "assignment": "what", "code": "text", "grade": "points"}
    course = load_course(spec, tests=tests_file, columns=columns, grade_scale=100)
    assert list(course.trajectories) == [
        Trajectory(
            "a", "7", None, (Submission("y", logged_grade=0.125), Submission("x", logged_grade=0.5))
        )
    ]


def test_without_time_and_order_rows_stay_as_they_lie(tests_file: Path, tmp_path: Path) -> None:
    rows = [("a", "7", str(k)) for k in (3, 1, 2)]
    spec = write_csv(tmp_path / "log.csv", ("student", "assignment", "code"), rows)
    course, report = load_with_report(spec, tests=tests_file)
    assert [s.code for s in course.trajectories[0].submissions] == ["3", "1", "2"]
    assert any("in the order of the file" in note for note in report.notes)


def row_with(field: str, value: str) -> tuple[str, ...]:
    return tuple(
        value if name == field else cell for name, cell in zip(HEADER, ROWS[0], strict=True)
    )


BAD_ROWS = [
    ("student_id", "  ", "no student"),
    ("assignment_id", "sub", "no such assignment"),
    ("timestamp", "yesterday", "not a time"),
    ("timestamp", "", "not a time"),
    ("timestamp", "99999999999999999999", "not a time"),
    ("grade", "1.01", "out of range, 0 to 1"),
    ("grade", "-0.5", "out of range"),
    ("grade", "inf", "not a finite number"),
    ("grade", "A", "not a number"),
    ("code", "ab\udcff", "not valid UTF-8"),
    ("student_id", "\udc80", "not valid UTF-8"),
]


@pytest.mark.parametrize(("field", "value", "reason"), BAD_ROWS)
def test_bad_row_is_an_error_that_names_it(
    field: str, value: str, reason: str, tests_file: Path, tmp_path: Path
) -> None:
    spec = write_csv(tmp_path / "log.csv", HEADER, [*ROWS, row_with(field, value)])
    with pytest.raises(CourseError, match=reason) as caught:
        load_course(spec, tests=tests_file)
    error = caught.value
    # The header is row 1; the two lines of the first program are one row.
    assert (error.file, error.row, error.field) == (str(tmp_path / "log.csv"), 6, field)
    assert error.value == value


def test_skipped_rows_are_written_down_and_counted(
    tests_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [row_with(field, value) for field, value, _ in BAD_ROWS]
    spec = write_csv(tmp_path / "log.csv", HEADER, [*bad[:5], *ROWS, *bad[5:], ("s1", "add")])
    monkeypatch.chdir(tmp_path)
    course, report = load_with_report(spec, bad_rows="skip", tests=tests_file)
    assert list(course.trajectories) == EXPECTED
    assert report.rows_read == len(bad) + 1 + len(ROWS)
    assert (report.submissions, report.rejected_log_rows) == (len(ROWS), len(bad) + 1)
    assert sum(rejected.rows for rejected in report.rejected) == len(bad) + 1
    lines = (tmp_path / "log.rejects.jsonl").read_text("ascii").splitlines()
    rejects: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [reject["row"] for reject in rejects] == [2, 3, 4, 5, 6, *range(11, 18)]
    assert [reject["field"] for reject in rejects[:-1]] == [field for field, _, _ in BAD_ROWS]
    assert rejects[9]["record"] == dict(zip(HEADER, bad[9], strict=True))
    assert rejects[-1]["reason"] == "2 fields where the header has 7"
    assert report.rejects_file == "log.rejects.jsonl"
    assert any("rejected: 1 row" in line and "no student" in line for line in report.lines())


@pytest.mark.parametrize(
    ("value", "options", "reason"),
    [
        (
            "66.7",
            {},
            "a grade out of range, 0 to 1; if grades go up to 100 give grade_scale=100 "
            "(--reader grade_scale=100)",
        ),
        (
            "450",
            {},
            "a grade out of range, 0 to 1; if grades go up to MARK give grade_scale=MARK "
            "(--reader grade_scale=MARK)",
        ),
        (
            "450",
            {"grade_scale": 100},
            "a grade out of range, 0 to 100 (--bad-rows skip sets such rows aside)",
        ),
        ("-1", {}, "a grade out of range, 0 to 1 (--bad-rows skip sets such rows aside)"),
    ],
)
def test_grade_above_1_leads_to_the_scale_and_not_to_losing_the_row(
    value: str, options: dict[str, Any], reason: str, tests_file: Path, tmp_path: Path
) -> None:
    spec = write_csv(tmp_path / "log.csv", HEADER, [row_with("grade", value)])
    with pytest.raises(CourseError) as caught:
        load_course(spec, tests=tests_file, **options)
    assert str(caught.value).endswith(f"value {value!r}: {reason}")


def test_report_of_skipped_rows_tells_of_the_scale(tests_file: Path, tmp_path: Path) -> None:
    spec = write_csv(tmp_path / "log.csv", HEADER, [*ROWS, row_with("grade", "80")])
    _, report = load_with_report(
        spec, bad_rows="skip", tests=tests_file, rejects=tmp_path / "rejects"
    )
    assert any("give grade_scale=100" in line for line in report.lines())


def test_rejects_go_where_the_user_says(tests_file: Path, tmp_path: Path) -> None:
    spec = write_csv(tmp_path / "log.csv", HEADER, [*ROWS, row_with("grade", "7")])
    rejects = tmp_path / "mine.jsonl"
    load_course(spec, bad_rows="skip", tests=tests_file, rejects=rejects)
    assert len(rejects.read_text().splitlines()) == 1
    with pytest.raises(UsageError, match=r"no-folder/rejects: No such file or directory"):
        load_course(
            spec, bad_rows="skip", tests=tests_file, rejects=tmp_path / "no-folder" / "rejects"
        )


def test_bad_jsonl_lines_are_named(tests_file: Path, tmp_path: Path) -> None:
    spec = write_jsonl(tmp_path / "log.jsonl", HEADER, ROWS)
    path = tmp_path / "log.jsonl"
    good = path.read_bytes()
    for line, reason in [
        (b'{"student_id": "s"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"student_id":"s","assignment_id":"7","timestamp":"2024-01-01","code":"\xe9"}', "UTF-8"),
        (
            b'{"student_id":"s","assignment_id":"7","timestamp":"2024-01-01","code":"\\udc00"}',
            "UTF-8",
        ),
        (b'{"student_id":"s","assignment_id":"7","timestamp":"2024-01-01","code":7}', "not text"),
        (b'{"student_id":"s","assignment_id":"7","timestamp":"2024-01-01"}', "no program"),
    ]:
        path.write_bytes(good + line + b"\n")
        with pytest.raises(CourseError, match=rf"row 5.*{reason}"):
            load_course(spec, tests=tests_file)


def test_invalid_utf8_in_parquet_is_a_bad_row(tests_file: Path, tmp_path: Path) -> None:
    raw = pa.array([b"x", b"\xff\xfe"], pa.binary())
    code = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    table = pa.table({"student": ["a", "a"], "assignment": ["7", "7"], "code": code})
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(CourseError, match=r"row 2, field 'code'.*not valid UTF-8"):
        load_course(f"table:{tmp_path / 'log.parquet'}", tests=tests_file)


def test_a_quote_that_is_never_closed_is_an_error_in_any_mode(
    tests_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "log.csv"
    path.write_text('student,assignment,code\na,7,x\na,7,"y\na,7,z\n')
    for bad_rows in ("error", "skip"):
        with pytest.raises(CourseError, match=r"row 3.*never closed"):
            load_course(f"table:{path}", bad_rows=bad_rows, tests=tests_file)


def test_missing_columns_are_all_named_with_what_there_is(tests_file: Path, tmp_path: Path) -> None:
    spec = write_csv(tmp_path / "log.csv", ("who", "assignment", "txt"), [("a", "7", "x")])
    with pytest.raises(CourseError) as caught:
        load_course(spec, tests=tests_file)
    assert str(caught.value).endswith(
        "log.csv: no column for the student, the code; it has who, assignment, txt. Name them: "
        "--column student=COLUMN --column code=COLUMN (columns={'student': COLUMN, "
        "'code': COLUMN})"
    )
    with pytest.raises(CourseError, match=r"for the code; .*Name it: --column code=COLUMN \(col"):
        load_course(spec, tests=tests_file, columns={"student": "who"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"cod": "code"}}, "unknown field 'cod'. Did you mean 'code'"),
        ({"columns": {"code": "Code"}}, "unknown column 'Code'. Did you mean 'code'"),
        ({"grade_scale": 0}, "above 0, got 0"),
        ({"grade_scale": float("nan")}, "above 0, got nan"),
        ({"tests": None}, "give tests=FILE"),
        ({"tests": "/no/such.json"}, "tests=/no/such.json: No such file"),
        ({"event": "x"}, "unknown option of table:PATH 'event'"),
        ({"repairs": ["crlf"]}, "unknown repair 'crlf'. Known: crlf_to_lf"),
    ],
)
def test_wrong_options_are_usage_errors(
    options: dict[str, Any], message: str, tests_file: Path, tmp_path: Path
) -> None:
    spec = write_csv(tmp_path / "log.csv", HEADER, ROWS)
    with pytest.raises(UsageError, match=message):
        load_course(spec, **({"tests": tests_file} | options))


def test_missing_table_is_a_usage_error(tests_file: Path) -> None:
    with pytest.raises(UsageError, match=r"no table at /no/such\.csv"):
        load_course("table:/no/such.csv", tests=tests_file)


def test_a_log_of_nothing_is_an_error(tests_file: Path, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="none of 0 rows"):
        load_course(write_csv(tmp_path / "log.csv", HEADER, []), tests=tests_file)
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(CourseError, match="the file is empty"):
        load_course(f"table:{tmp_path / 'empty.csv'}", tests=tests_file)


def test_student_who_repeats_an_assignment_next_term_is_another_student(
    tests_file: Path, tmp_path: Path
) -> None:
    rows = [
        ("s", "7", "2024-01-01", "a", "", "", "Spring"),
        ("s", "7", "2024-09-01", "b", "", "", "Fall"),
        ("s", "add", "2024-09-02", "c", "", "", "Fall"),
        ("t", "add", "2024-09-02", "d", "", "", "Fall"),
    ]
    course, report = load_with_report(
        write_csv(tmp_path / "log.csv", HEADER, rows), tests=tests_file
    )
    assert [(t.student_id, t.assignment_id, t.term) for t in course.trajectories] == [
        ("s", "7", "Spring"),
        ("s@Fall", "7", "Fall"),
        ("s@Fall", "add", "Fall"),
        ("t", "add", "Fall"),
    ]
    assert any("'s@Fall'" in note for note in report.notes)


def log_of(tmp_path: Path, programs: Sequence[tuple[str, str]]) -> str:
    rows = [("s", "7", code, grade) for code, grade in programs]
    return write_csv(tmp_path / "log.csv", ("student", "assignment", "code", "grade"), rows)


def codes(course_spec: str, tests_file: Path, **options: Any) -> list[str]:
    [trajectory] = load_course(course_spec, tests=tests_file, **options).trajectories
    return [submission.code for submission in trajectory.submissions]


def test_line_ends_are_repaired_and_counted(tests_file: Path, tmp_path: Path) -> None:
    spec = log_of(
        tmp_path, [("a\r\nb\r\n", "0"), ("a\nb\n", "0"), ("a\r\nb\r\n", "1"), ("a\rb", "0")]
    )
    _, report = load_with_report(spec, tests=tests_file)
    assert codes(spec, tests_file) == ["a\nb\n", "a\nb\n", "a\nb\n", "a\rb"]
    assert [(repair.rule, repair.submissions) for repair in report.repairs] == [("crlf_to_lf", 2)]
    assert codes(spec, tests_file, repairs=[])[0] == "a\r\nb\r\n"


def test_trailing_backslash_is_dropped_only_where_the_log_proves_it_is_not_the_students(
    tests_file: Path, tmp_path: Path
) -> None:
    students_own = log_of(tmp_path, [("x = 1\\", "0"), ("x = 1", "1"), ("x = 1 # \\", "1")])
    assert codes(students_own, tests_file) == ["x = 1\\", "x = 1", "x = 1 # \\"]
    assert codes(students_own, tests_file, repairs="drop_trailing_backslash")[0] == "x = 1"

    artefact = log_of(tmp_path, [("x = 1\\", "1"), ("x = \\", "0"), ("x = 1 # \\", "1")])
    assert codes(artefact, tests_file) == ["x = 1", "x = ", "x = 1 # \\"]
    _, report = load_with_report(artefact, tests=tests_file)
    assert [(r.rule, r.submissions) for r in report.repairs] == [("drop_trailing_backslash", 2)]
    assert codes(artefact, tests_file, repairs=[])[0] == "x = 1\\"


logged_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=40, deadline=None)
@given(
    programs=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["add", "7", "?"]), logged_text),
        min_size=1,
        max_size=12,
    )
)
def test_every_row_is_kept_or_rejected_and_kept_text_is_the_logged_text(
    programs: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("table")
    (folder / "tests.json").write_text(json.dumps(TESTS))
    spec = write_csv(folder / "log.csv", ("student", "assignment", "code"), programs)
    options = {"tests": folder / "tests.json", "rejects": folder / "rejects", "repairs": []}
    expected: dict[tuple[str, str], list[str]] = {}
    for student, assignment, code in programs:
        if assignment != "?":
            expected.setdefault((student, assignment), []).append(code)
    if not expected:
        with pytest.raises(CourseError, match="none of"):
            load_course(spec, bad_rows="skip", **options)
        return
    course, report = load_with_report(spec, bad_rows="skip", **options)
    assert [t.key for t in course.trajectories] == sorted(expected)
    for trajectory in course.trajectories:
        assert [s.code for s in trajectory.submissions] == expected[trajectory.key]
    assert report.rows_read == report.submissions + report.rejected_log_rows == len(programs)
