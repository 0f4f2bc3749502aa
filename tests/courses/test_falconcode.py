"""falconcode:PATH: the official tables and the Hub's layout give the same course."""

from __future__ import annotations

import csv
import importlib.util
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from novicegym.courses.load import load_course, load_with_report
from novicegym.courses.model import Submission, Trajectory
from novicegym.courses.suite import TestScript
from novicegym.errors import CourseError, UsageError

SCRIPT = "from cs110 import autograder\n\n\ndef test_passed():\n    return 50\n"
Rows = list[tuple[str, ...]]

TABLES: dict[str, Rows] = {
    "courses": [("id", "semester", "year"), ("2", "Spring", "2021"), ("4", "Spring", "2022")],
    "students": [
        ("id", "course_id", "stem_major", "gender", "ethnicity"),
        ("11", "2", "1", "F", "x"),
        ("12", "4", "0", "M", "x"),
    ],
    "problems": [
        ("id", "course_id", "type", "prompt", "testcase", "max_score", "exam", "output", "list"),
        ("Lsn3_sum", "2", "lab", "<p>Sum.</p> ", SCRIPT, "50", "0", "1", "1"),
        ("Lsn3_sum", "4", "lab", "<p>Sum.</p>", SCRIPT, "100", "0", "1", "1"),
        ("PEX1", "2", "project", "Draw.", "", "100", "0", "0", "0"),
        ("GR_a", "4", "skill", "Exam.", SCRIPT, "", "1", "1", "0"),
    ],
    "code_samples": [
        ("hash", "source_code", "redacted", "num_lines"),
        ("h1", "print('a')\r\nprint(1)", "0", "2"),
        ("h2", "print('[REDACTED]')", "1", "1"),
        ("h3", "", "0", "0"),
    ],
    "runs": [
        ("id", "student_id", "course_id", "problem_id", "timestamp", "score", "code_hash"),
        ("1", "11", "2", "Lsn3_sum", "2021-02-03 10:05:00", "50", "h2"),
        ("2", "11", "2", "Lsn3_sum", "2021-02-03 10:00:00", "-1", "h3"),
        ("3", "11", "2", "Lsn3_sum", "2021-02-03 10:01:00", "25", "h1"),
        ("4", "11", "2", "PEX1", "2021-02-04 10:01:00", "100", "h1"),
        ("5", "12", "4", "Lsn3_sum", "2022-02-04 10:01:00", "25.0", "h1"),
        ("6", "12", "4", "GR_a", "2022-03-04 10:01:00", "100", "h1"),
    ],
}
A = "print('a')\nprint(1)"


def expected(local_runs: bool = False, redacted: bool = True) -> list[Trajectory]:
    first = [
        (Submission("", datetime(2021, 2, 3, 10), None), local_runs),
        (Submission(A, datetime(2021, 2, 3, 10, 1), 0.5), True),
        (Submission("print('[REDACTED]')", datetime(2021, 2, 3, 10, 5), 1.0), redacted),
    ]
    return [
        Trajectory("11", "Lsn3_sum", "Spring 2021", tuple(s for s, kept in first if kept)),
        Trajectory("12", "GR_a", "Spring 2022", (Submission(A, datetime(2022, 3, 4, 10, 1), 1.0),)),
        Trajectory(
            "12", "Lsn3_sum", "Spring 2022", (Submission(A, datetime(2022, 2, 4, 10, 1), 0.25),)
        ),
    ]


def write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows(rows)


def release(
    folder: Path, changes: Mapping[str, Rows | None] | None = None, name: str = "{}.csv"
) -> str:
    for table, rows in (TABLES | dict(changes or {})).items():
        if rows is not None:
            write_csv(folder / name.format(table), rows)
    return f"falconcode:{folder}"


def changed(table: str, row: int, column: str, value: str) -> dict[str, Rows | None]:
    """The table with one cell changed; row numbers count the header as 1."""
    rows = [list(cells) for cells in TABLES[table]]
    rows[row - 1][rows[0].index(column)] = value
    return {table: [tuple(cells) for cells in rows]}


def hub_rows() -> list[dict[str, Any]]:
    """The official tables joined as on the Hub."""
    problems = {(r[0], r[1]): r for r in TABLES["problems"][1:]}
    samples = {r[0]: r for r in TABLES["code_samples"][1:]}
    rows: list[dict[str, Any]] = []
    for _, student, course, problem_id, timestamp, score, code_hash in TABLES["runs"][1:]:
        problem, sample = problems[problem_id, course], samples[code_hash]
        rows.append(
            {
                "problem_id": problem_id,
                "course_id": int(course),
                "source_code": sample[1],
                "original_source_code": sample[1] + "\n# original",
                "score": float(score),
                "concepts": ["output", "list"] if problem[8] == "1" else ["output"],
                "prompt": problem[3],
                "type": problem[2],
                "student_id": int(student),
                "timestamp": timestamp,
                "testcase": problem[4] or None,
                "max_score": float(problem[5]) if problem[5] else None,
                "exam": problem[6] == "1",
                "redacted": sample[2] == "1",
                "id": 7,
            }
        )
    return rows


def hub(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        cells = [tuple("" if v is None else str(v) for v in row.values()) for row in rows]
        write_csv(path, [tuple(rows[0]), *cells])


@pytest.mark.parametrize("name", ["{}.csv", "falconcode_v1_table_{}.csv", "v2/{}.csv"])
def test_official_release_is_read(name: str, tmp_path: Path) -> None:
    course, report = load_with_report(release(tmp_path, name=name))
    assert list(course.trajectories) == expected()
    assert (course.name, course.synthetic) == ("falconcode", False)
    left_out = [(out.reason, out.subject, out.rows, out.trajectories) for out in report.left_out]
    assert left_out == [
        ("assignment without tests", "PEX1", 1, 1),
        ("run not submitted", "", 1, None),
    ]
    assert (report.rows_read, report.submissions) == (6, 4)
    assert report.notes == ("1 redacted program is kept",)


def test_official_release_is_read_from_a_zip(tmp_path: Path) -> None:
    release(tmp_path / "release")
    with zipfile.ZipFile(tmp_path / "falcon.zip", "w") as archive:
        for file in sorted((tmp_path / "release").iterdir()):
            archive.write(file, f"FalconCode/{file.name}")
    assert list(load_course(f"falconcode:{tmp_path / 'falcon.zip'}").trajectories) == expected()


def test_problem_becomes_an_assignment(tmp_path: Path) -> None:
    assignments = load_course(release(tmp_path)).assignments
    assert list(assignments) == ["GR_a", "Lsn3_sum"]
    lab, exam = assignments["Lsn3_sum"], assignments["GR_a"]
    assert (lab.kind, lab.lesson, lab.prompt) == ("lab", "Lsn3", "<p>Sum.</p>")
    assert lab.tests.script == TestScript(SCRIPT, 50)
    assert lab.concepts == ("output", "list")
    assert exam.tests.script == TestScript(SCRIPT, 100)
    assert (exam.kind, exam.lesson) == ("exam", "GR")
    typed = load_course(release(tmp_path), exam_kind=False).assignments
    assert typed["GR_a"].kind == "skill"


@pytest.mark.parametrize("layout", ["official", "hub"])
def test_local_runs_and_redacted_programs_by_choice(layout: str, tmp_path: Path) -> None:
    if layout == "official":
        spec = release(tmp_path)
    else:
        hub(tmp_path / "full.parquet", hub_rows())
        spec = f"falconcode:{tmp_path}"
    course = load_course(spec, include_local_runs=True)
    assert list(course.trajectories) == expected(local_runs=True)
    course, report = load_with_report(spec, include_redacted=False)
    assert list(course.trajectories) == expected(redacted=False)
    assert ("redacted program", 1) in [(out.reason, out.rows) for out in report.left_out]


def test_problems_that_differ_between_courses_are_told(tmp_path: Path) -> None:
    spec = release(tmp_path, changed("problems", 3, "testcase", SCRIPT + "# new\n"))
    course, report = load_with_report(spec)
    assert course.assignments["Lsn3_sum"].tests.script == TestScript(SCRIPT, 50)
    assert any("several versions" in note and "Lsn3_sum" in note for note in report.notes)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("student_id", "", "no student"),
        ("student_id", "99", "not in the table of students"),
        ("course_id", "3", "not in the table of courses"),
        ("problem_id", "Lsn9_x", "not in the table of problems"),
        ("problem_id", "", "no assignment"),
        ("timestamp", "noon", "not a time"),
        ("score", "50.5", "out of range, 0 to 50"),
        ("score", "-2", "out of range"),
        ("score", "full", "not a number"),
        ("code_hash", "h9", "not in the table of code samples"),
    ],
)
def test_bad_run_is_named(column: str, value: str, reason: str, tmp_path: Path) -> None:
    spec = release(tmp_path, changed("runs", 4, column, value))
    with pytest.raises(CourseError, match=rf"runs\.csv, row 4, field '{column}'.*{reason}"):
        load_course(spec)
    _, report = load_with_report(spec, bad_rows="skip", rejects=tmp_path / "rejects.jsonl")
    assert (report.rejected_log_rows, report.submissions, report.rows_read) == (1, 3, 6)


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "reason", "lost_runs"),
    [
        ("code_samples", 2, "source_code", "\udcff", "not valid UTF-8", 4),
        ("code_samples", 3, "redacted", "some", "neither true nor false", 1),
        ("problems", 5, "max_score", "0", "must be above 0", 1),
        ("problems", 5, "exam", "final", "neither true nor false", 1),
        ("courses", 3, "year", "", "no year", 2),
        ("students", 2, "id", "\udcff", "not valid UTF-8", 4),
        ("students", 2, "id", "", "no student", 4),
    ],
)
def test_bad_row_of_a_side_table_is_named_and_takes_its_runs_with_it(
    table: str, row: int, column: str, value: str, reason: str, lost_runs: int, tmp_path: Path
) -> None:
    spec = release(tmp_path, changed(table, row, column, value))
    with pytest.raises(CourseError, match=rf"{table}\.csv, row {row}, field '{column}'.*{reason}"):
        load_course(spec)
    _, report = load_with_report(spec, bad_rows="skip", rejects=tmp_path / "rejects.jsonl")
    assert report.rejected_log_rows == lost_runs
    assert sum(rejected.rows for rejected in report.rejected) == lost_runs + 1
    assert report.rows_read == 6


def test_missing_tables_and_columns_are_named(tmp_path: Path) -> None:
    spec = release(tmp_path / "a", {"problems": None, "courses": None})
    with pytest.raises(CourseError, match=r"not courses\.csv, problems\.csv"):
        load_course(spec)
    runs = [row[:5] for row in TABLES["runs"]]
    with pytest.raises(CourseError, match=r"runs\.csv: missing columns score, code_hash"):
        load_course(release(tmp_path / "b", {"runs": runs}))
    assert list(load_course(release(tmp_path / "c", {"students": None})).trajectories) == expected()
    write_csv(tmp_path / "c" / "old_runs.csv", TABLES["runs"])
    with pytest.raises(CourseError, match="several files could be the table runs"):
        load_course(f"falconcode:{tmp_path / 'c'}")


@pytest.mark.parametrize(
    "names",
    [
        ("submitted/train-00000-of-00002.parquet", "submitted/train-00001-of-00002.parquet"),
        ("submitted_train.csv", "submitted_test.csv"),
        ("data/submitted-train.parquet", "data/submitted-test.csv"),
        ("train.parquet", "test.parquet"),
    ],
)
def test_hub_layout_gives_the_same_course(names: tuple[str, str], tmp_path: Path) -> None:
    hub(tmp_path / names[0], hub_rows()[:4])
    hub(tmp_path / names[1], hub_rows()[4:])
    (tmp_path / "README.md").write_text("# FalconCode")
    course, report = load_with_report(f"falconcode:{tmp_path}")
    assert list(course.trajectories) == expected()
    assert course.assignments == load_course(release(tmp_path / "official")).assignments
    assert (report.rows_read, report.submissions) == (6, 4)


def test_one_file_of_the_hub_is_enough(tmp_path: Path) -> None:
    hub(tmp_path / "some.parquet", hub_rows())
    course = load_course(f"falconcode:{tmp_path / 'some.parquet'}")
    assert list(course.trajectories) == expected()


def test_configuration_is_chosen_and_told(tmp_path: Path) -> None:
    hub(tmp_path / "full" / "train.parquet", hub_rows())
    hub(tmp_path / "submitted" / "train.parquet", hub_rows()[4:])
    spec = f"falconcode:{tmp_path}"
    course, report = load_with_report(spec)
    assert list(course.trajectories) == expected()[1:]
    assert "of the configurations submitted, full 'submitted' is read" in report.notes
    assert list(load_course(spec, config="full").trajectories) == expected()
    with pytest.raises(UsageError, match="Did you mean 'full'"):
        load_course(spec, config="ful")
    hub(tmp_path / "other" / "submitted-train.parquet", hub_rows())
    with pytest.raises(UsageError, match="no configuration 'full', but submitted"):
        load_course(f"falconcode:{tmp_path / 'other'}", config="full")


def test_programs_as_written_by_choice(tmp_path: Path) -> None:
    hub(tmp_path / "a.parquet", hub_rows())
    course = load_course(f"falconcode:{tmp_path}", original_code=True)
    assert course.trajectories[0].submissions[0].code == A + "\n# original"
    hub(tmp_path / "a.parquet", [{**r, "original_source_code": None} for r in hub_rows()])
    with pytest.raises(CourseError, match="field 'original_source_code': no program"):
        load_course(f"falconcode:{tmp_path}", original_code=True)


def test_hub_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    rows = [{k: v for k, v in r.items() if k not in ("testcase", "exam")} for r in hub_rows()]
    hub(tmp_path / "train.parquet", rows)
    with pytest.raises(CourseError, match=r"train\.parquet: missing columns testcase, exam"):
        load_course(f"falconcode:{tmp_path}")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("student_id", None, "no student"),
        ("course_id", None, "no course"),
        ("timestamp", "?", "not a time"),
        ("score", 51.0, "out of range, 0 to 50"),
        ("source_code", None, "no program"),
    ],
)
def test_bad_hub_row_is_named(column: str, value: Any, reason: str, tmp_path: Path) -> None:
    rows = hub_rows()
    rows[2] = rows[2] | {column: value}
    hub(tmp_path / "train.parquet", rows)
    with pytest.raises(CourseError, match=rf"train\.parquet, row 3, field '{column}'.*{reason}"):
        load_course(f"falconcode:{tmp_path}")


def test_path_without_falconcode_is_told(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="neither the official tables"):
        load_course(f"falconcode:{tmp_path}")
    with pytest.raises(UsageError, match="no FalconCode at /no/such/place"):
        load_course("falconcode:/no/such/place")


@pytest.mark.skipif(
    importlib.util.find_spec("datasets") is not None, reason="needs the base install"
)
def test_hub_name_without_the_datasets_package_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="install the datasets package"):
        load_course("falconcode:koutch/falcon_code")


def test_progsnap2_data_set_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "MainTable.csv").write_text("EventType\n")
    with pytest.raises(UsageError, match=f"is a ProgSnap2 data set: call it progsnap2:{tmp_path}"):
        load_course(f"falconcode:{tmp_path}")
