"""Course directories: what is saved comes back, from any size, thread and process."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import string
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.courses.columns import GROUP_ROWS, SCHEMA
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.store import open_course, read_counts, save_course
from novicegym.courses.suite import CallCase, IOCase, TestScript, TestSuite
from novicegym.errors import CourseError, UsageError

SUITE = TestSuite(cases=(CallCase("f()", 1),))
FILES = ("course.json", "assignments.jsonl", "submissions.parquet")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
submissions = st.builds(
    Submission,
    code=texts,
    at=st.none() | st.datetimes(),
    logged_grade=st.none() | st.floats(0, 1),
    logged_feedback=st.none() | texts,
)
suites = st.one_of(
    st.builds(
        TestSuite,
        cases=st.lists(
            st.builds(
                CallCase,
                call=texts,
                expected=st.recursive(
                    st.none() | st.booleans() | st.integers() | texts,
                    lambda inner: st.lists(inner) | st.tuples(inner, inner),
                ),
                tolerance=st.floats(0, 1),
                types=st.sampled_from(["python", "plain", "strict"]),
            )
            | st.builds(IOCase, stdin=texts, stdout=texts, name=texts),
            min_size=1,
            max_size=3,
        ).map(tuple),
        setup=texts,
        forbidden_methods=st.lists(texts, max_size=2).map(tuple),
    ),
    st.builds(TestSuite, script=st.builds(TestScript, source=texts, max_score=st.floats(1, 100))),
)


@st.composite
def courses(draw: st.DrawFn) -> Course:
    ids = draw(st.lists(texts, min_size=1, max_size=3, unique=True))
    assignments = {
        key: draw(
            st.builds(
                Assignment,
                id=st.just(key),
                title=texts,
                prompt=texts,
                tests=suites,
                entry_point=st.none() | texts,
                starter=st.none() | texts,
                lesson=st.none() | texts,
                kind=texts,
                concepts=st.lists(texts, max_size=2).map(tuple),
                solutions=st.lists(texts, max_size=2).map(tuple),
            )
        )
        for key in ids
    }
    keys = draw(st.lists(st.tuples(texts, st.sampled_from(ids)), max_size=5, unique=True))
    trajectories = tuple(
        Trajectory(*key, draw(st.none() | texts), tuple(draw(st.lists(submissions, min_size=1))))
        for key in keys
    )
    return Course(draw(texts), assignments, trajectories, draw(st.booleans()))


def plain_course(lengths: Sequence[int]) -> Course:
    """A course whose trajectories have these lengths."""
    start = datetime(2024, 9, 2, 8)
    return Course(
        "plain",
        {"a": Assignment("a", "A", "Do a.", SUITE)},
        tuple(
            Trajectory(
                f"s{number:05}",
                "a",
                "Fall 2024",
                tuple(
                    Submission(
                        f"print({number}, {k})\r\n", start + timedelta(minutes=k), k / length
                    )
                    for k in range(length)
                ),
            )
            for number, length in enumerate(lengths)
        ),
    )


@pytest.fixture(scope="module")
def long_course() -> Course:
    """A course of several row groups; one trajectory is longer than a group."""
    return plain_course([700] * 10 + [GROUP_ROWS + 300] + [1] * 900)


@pytest.fixture(scope="module")
def long_directory(long_course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store") / "long"
    save_course(long_course, directory)
    return directory


@settings(max_examples=60, deadline=None)
@given(course=courses())
def test_saved_course_comes_back(course: Course, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("round") / "course"
    save_course(course, directory)
    opened = open_course(directory)
    assert (opened.name, opened.synthetic) == (course.name, course.synthetic)
    assert list(opened.assignments.items()) == list(course.assignments.items())
    assert list(opened.trajectories) == list(course.trajectories)
    assert [opened.trajectories[i] for i in range(len(opened.trajectories))] == list(
        course.trajectories
    )


@pytest.mark.parametrize("code", ["", "\x00", "print('🐍')", "a\r\nb\rc\nd", "\ufeffx", "\u2028"])
def test_awkward_programs_come_back(code: str, tmp_path: Path) -> None:
    course = plain_course([1])
    trajectory = Trajectory("s", "a", None, (Submission(code), Submission(code + "!")))
    save_course(replace(course, trajectories=(trajectory,)), tmp_path / "c")
    assert list(open_course(tmp_path / "c").trajectories) == [trajectory]


def test_times_with_a_zone_are_stored_as_utc(tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=-7))
    at = datetime(2021, 2, 3, 10, tzinfo=zone)
    trajectory = Trajectory("s", "a", None, (Submission("x", at),))
    save_course(replace(plain_course([1]), trajectories=(trajectory,)), tmp_path / "c")
    [opened] = open_course(tmp_path / "c").trajectories
    assert opened.submissions[0].at == at.astimezone(UTC).replace(tzinfo=None)


def test_random_access_slices_and_iteration_agree(
    long_course: Course, long_directory: Path
) -> None:
    stored, expected = open_course(long_directory).trajectories, long_course.trajectories
    assert len(stored) == len(expected)
    assert list(stored) == list(expected)
    for index in (0, 5, 6, 10, 11, len(expected) - 1, -1, -len(expected)):
        assert stored[index] == expected[index]
    for part in (slice(4, 20), slice(None, None, 97), slice(12, 3, -4), slice(5, 5)):
        assert list(stored[part]) == list(expected[part])
    assert list(stored[4:20][3:]) == list(expected[7:20])
    with pytest.raises(IndexError):
        stored[len(expected)]


def test_row_groups_end_with_trajectories(long_directory: Path) -> None:
    file = pq.ParquetFile(long_directory / "submissions.parquet")
    assert file.num_row_groups == 3
    for group in range(file.num_row_groups):
        assert file.read_row_group(group, columns=["order"])["order"][0].as_py() == 0


def test_trajectories_may_be_streamed_into_save(tmp_path: Path) -> None:
    class Once(Sequence[Trajectory]):
        """Trajectories that exist only while they are looked at."""

        def __len__(self) -> int:
            raise AssertionError("saving must not need the length")

        def __getitem__(self, index: object) -> Trajectory:  # type: ignore[override]
            raise AssertionError("saving must not need random access")

        def __iter__(self) -> Iterator[Trajectory]:
            return iter(plain_course([2, 3]).trajectories)

    save_course(replace(plain_course([1]), trajectories=Once()), tmp_path / "c")
    assert read_counts(tmp_path / "c") == {
        "assignments": 1,
        "students": 2,
        "trajectories": 2,
        "submissions": 5,
    }


def test_same_content_gives_same_bytes_in_any_process(tmp_path: Path) -> None:
    script = (
        "import sys; from novicegym.courses.store import *;"
        "save_course(open_course(sys.argv[1]), sys.argv[2])"
    )
    save_course(plain_course([3, 1, 4]), tmp_path / "first")
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", script, tmp_path / "first", tmp_path / seed],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
        )
        for name in FILES:
            assert (tmp_path / seed / name).read_bytes() == (tmp_path / "first" / name).read_bytes()


def test_course_may_be_saved_over_itself(tmp_path: Path) -> None:
    save_course(plain_course([2, 3, 4]), tmp_path / "c")
    (tmp_path / "c" / "notes.txt").write_text("mine")
    course, stale = open_course(tmp_path / "c"), open_course(tmp_path / "c")
    save_course(replace(course, trajectories=course.trajectories[1:]), tmp_path / "c")
    assert list(open_course(tmp_path / "c").trajectories) == list(
        plain_course([2, 3, 4]).trajectories[1:]
    )
    assert (tmp_path / "c" / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    with pytest.raises(CourseError, match=r"submissions\.parquet: the file changed"):
        list(stale.trajectories)


def test_folder_of_other_things_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    save_course(plain_course([2]), tmp_path / "data")
    assert len(open_course(tmp_path / "data").trajectories) == 1
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "assignments.jsonl").write_text("mine")
    with pytest.raises(UsageError, match=r"logs is neither empty nor a course directory") as caught:
        save_course(plain_course([2]), tmp_path / "logs")
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["assignments.jsonl"]
    assert (tmp_path / "logs" / "assignments.jsonl").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "logs"]


def test_failed_save_leaves_the_old_course_and_nothing_else(tmp_path: Path) -> None:
    good = plain_course([2])
    save_course(good, tmp_path / "c")
    before = {name: (tmp_path / "c" / name).read_bytes() for name in FILES}
    bad = Trajectory("t", "a", None, (Submission("\ud800"),))
    with pytest.raises(CourseError, match=r"lone surrogate"):
        save_course(replace(good, trajectories=(bad,)), tmp_path / "c")
    assert {name: (tmp_path / "c" / name).read_bytes() for name in FILES} == before
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("trajectories", "message"),
    [
        ([Trajectory("s", "a", None, ())], "at least one submission"),
        ([Trajectory("s", "b", None, (Submission("x"),))], "no such assignment"),
        ([Trajectory("s", "a", t, (Submission("x"),)) for t in ("t1", "t2")], "second trajectory"),
        ([Trajectory("s", "a", None, (Submission("x", None, 1.5),))], r"value 1\.5"),
        ([Trajectory("s", "a", None, (Submission("x", None, float("nan")),))], "value nan"),
    ],
)
def test_what_a_directory_cannot_hold_is_refused(
    trajectories: list[Trajectory], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CourseError, match=message):
        save_course(replace(plain_course([1]), trajectories=trajectories), tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_opened_course_travels_to_processes(
    start_method: str, long_course: Course, long_directory: Path
) -> None:
    trajectories = open_course(long_directory).trajectories
    assert trajectories[3] == long_course.trajectories[3]
    context = multiprocessing.get_context(start_method)
    with context.Pool(2) as pool:
        assert pool.map(trajectories.__getitem__, [0, 10, 500]) == [
            long_course.trajectories[i] for i in (0, 10, 500)
        ]


def test_pickle_holds_the_path_and_not_the_text(long_course: Course, long_directory: Path) -> None:
    course = open_course(long_directory)
    list(course.trajectories)
    pickled = pickle.dumps(course)
    assert len(pickled) < 2000
    assert list(pickle.loads(pickled).trajectories) == list(long_course.trajectories)
    part = pickle.loads(pickle.dumps(course.trajectories[8:12]))
    assert list(part) == list(long_course.trajectories[8:12])


def test_threads_read_the_same_course(long_course: Course, long_directory: Path) -> None:
    trajectories = open_course(long_directory).trajectories
    indices = [(7 * i) % len(trajectories) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(trajectories.__getitem__, indices))
    assert found == [long_course.trajectories[i] for i in indices]


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(name: str, tmp_path: Path) -> None:
    save_course(plain_course([2]), tmp_path / "c")
    (tmp_path / "c" / name).unlink()
    with pytest.raises(CourseError, match=rf"{name}: no such file"):
        open_course(tmp_path / "c")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe{", b"[]", b'{"format": "other"}'])
def test_corrupt_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    save_course(plain_course([2]), tmp_path / "c")
    (tmp_path / "c" / name).write_bytes(content)
    # An empty list of assignments is sound by itself; the counts tell.
    blamed = "course.json" if (name, content) == ("assignments.jsonl", b"") else name
    with pytest.raises(CourseError, match=blamed):
        open_course(tmp_path / "c")


def test_damaged_row_group_is_named_when_read(tmp_path: Path) -> None:
    save_course(plain_course([50] * 50), tmp_path / "c")
    path = tmp_path / "c" / "submissions.parquet"
    content = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(SCHEMA.names.index("code"))
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(content)
    course = open_course(tmp_path / "c")
    with pytest.raises(CourseError, match=r"submissions\.parquet: row group 0 is damaged"):
        course.trajectories[0]


def test_files_of_different_courses_are_refused(tmp_path: Path) -> None:
    save_course(plain_course([2]), tmp_path / "c")
    save_course(plain_course([2, 2]), tmp_path / "d")
    (tmp_path / "d" / "submissions.parquet").replace(tmp_path / "c" / "submissions.parquet")
    with pytest.raises(CourseError, match=r"counts\.trajectories', value 1: the directory holds 2"):
        open_course(tmp_path / "c")


def test_newer_version_is_refused(tmp_path: Path) -> None:
    save_course(plain_course([2]), tmp_path / "c")
    document = json.loads((tmp_path / "c" / "course.json").read_text("utf-8"))
    (tmp_path / "c" / "course.json").write_text(json.dumps(document | {"version": 2}))
    with pytest.raises(CourseError, match="reads version 1"):
        open_course(tmp_path / "c")


def test_row_groups_that_cut_a_trajectory_are_refused(tmp_path: Path) -> None:
    save_course(plain_course([4, 4]), tmp_path / "c")
    path = tmp_path / "c" / "submissions.parquet"
    pq.write_table(pq.read_table(path).cast(SCHEMA), path, row_group_size=3)
    with pytest.raises(CourseError, match="row group 1 does not number whole trajectories"):
        open_course(tmp_path / "c")


def test_missing_column_is_named(tmp_path: Path) -> None:
    save_course(plain_course([4]), tmp_path / "c")
    path = tmp_path / "c" / "submissions.parquet"
    table: pa.Table = pq.read_table(path)
    pq.write_table(table.drop_columns(["term"]), path)
    with pytest.raises(CourseError, match=r"submissions\.parquet, field 'term'"):
        open_course(tmp_path / "c")


def test_target_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").write_text(string.ascii_letters)
    with pytest.raises(CourseError, match="not a directory"):
        save_course(plain_course([1]), tmp_path / "c")
    with pytest.raises(CourseError, match="no such course directory"):
        open_course(tmp_path / "c")
    with pytest.raises(CourseError, match="cannot be written"):
        save_course(plain_course([1]), tmp_path / "c" / "inside")
