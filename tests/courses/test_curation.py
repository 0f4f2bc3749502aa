"""Curation: what each step keeps, what it reports, and what it refuses."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.courses.curation import (
    Counts,
    CurationStep,
    curate,
    describe_steps,
    parse_steps,
)
from novicegym.courses.curation_rules import PRESETS
from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.store import open_course, save_course
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.courses.syntax import ast_key
from novicegym.errors import UsageError

SUITE = TestSuite(cases=(CallCase("f(1)", 1),))


def assignment(key: str, **fields: str | None) -> Assignment:
    return Assignment(key, key, str(fields.pop("prompt", "Write f.")), SUITE, **fields)  # type: ignore[arg-type]


def trajectory(student: str, key: str, *submissions: tuple[str, float | None]) -> Trajectory:
    return Trajectory(
        student, key, "Fall 2024", tuple(Submission(c, logged_grade=g) for c, g in submissions)
    )


def course(assignments: list[Assignment], trajectories: Sequence[Trajectory]) -> Course:
    return Course("test", {a.id: a for a in assignments}, tuple(trajectories))


def kept_codes(course: Course) -> dict[tuple[str, str], list[str]]:
    return {t.key: [s.code for s in t.submissions] for t in course.trajectories}


ONE = [assignment("a")]
GOOD, BAD = "x = 1", "x ="


def test_labs_only_drops_other_assignments_and_their_trajectories() -> None:
    before = course(
        [assignment("a"), assignment("b", kind="skill")],
        [trajectory("s", "a", (GOOD, 0.0)), trajectory("s", "b", (GOOD, 0.0))],
    )
    after, report = curate(before, "labs-only")
    assert list(after.assignments) == ["a"]
    assert list(kept_codes(after)) == [("s", "a")]
    assert report.steps[0].removed == Counts(1, 1, 0, 1)


def test_top_assignment_counts_the_submissions_left_and_takes_the_smaller_id_of_equals() -> None:
    before = course(
        [assignment(key, lesson="l") for key in ("c", "a", "b")] + [assignment("alone")],
        [
            trajectory("s1", "c", (GOOD, 0.0), (BAD, 0.0), (BAD, 0.0)),
            trajectory("s1", "b", (GOOD, 0.0), (GOOD, 0.0)),
            trajectory("s1", "a", (GOOD, 0.0)),
            trajectory("s2", "a", (GOOD, 0.0)),
            trajectory("s2", "alone", (GOOD, 0.0)),
        ],
    )
    assert sorted(curate(before, "top-assignment-per-lesson")[0].assignments) == ["alone", "c"]
    later = curate(before, "drop-non-compiling,top-assignment-per-lesson")[0]
    assert sorted(later.assignments) == ["a", "alone"]


def test_passed_one_test_takes_any_submission_not_only_the_last() -> None:
    before = course(
        ONE,
        [
            trajectory("s1", "a", (GOOD, 0.0), (GOOD, 0.25), (BAD, 0.0)),
            trajectory("s2", "a", (GOOD, 0.0), (BAD, 0.0)),
            trajectory("s3", "a", (GOOD, None), (GOOD, 1.0)),
        ],
    )
    after, report = curate(before, "passed-one-test")
    assert [t.student_id for t in after.trajectories] == ["s1", "s3"]
    assert report.after == Counts(2, 5, 2, 1)


@pytest.mark.parametrize("step", ["passed-one-test", "last-grade:0.5", "stop-at-correct"])
def test_a_step_that_needs_an_unknown_grade_says_which_and_how_to_get_it(step: str) -> None:
    before = course(ONE, [trajectory("s1", "a", (GOOD, 0.0), (GOOD, None))])
    with pytest.raises(UsageError, match=r"submission 2 of student 's1' on 'a'.*--regrade"):
        curate(before, step)


def test_dropping_the_last_submission_removes_and_counts_the_trajectory() -> None:
    before = course(
        ONE,
        [trajectory("s1", "a", (BAD, 0.0), (BAD, 0.0)), trajectory("s2", "a", (BAD, 0), (GOOD, 1))],
    )
    after, report = curate(before, "drop-non-compiling")
    assert kept_codes(after) == {("s2", "a"): [GOOD]}
    assert report.steps[0].kept == Counts(1, 1, 1, 1)
    assert report.steps[0].removed == Counts(1, 3, 1, 0)


def test_merge_duplicates_keeps_the_first_of_a_run_but_not_of_the_whole_trajectory() -> None:
    codes = ["x = 1", "x=1  # again", "y = 1", "x = 1", "x =", " x =\n"]
    before = course(ONE, [trajectory("s", "a", *[(code, 0.0) for code in codes])])
    assert kept_codes(curate(before, "merge-duplicates")[0])["s", "a"] == [
        "x = 1",
        "y = 1",
        "x = 1",
        "x =",
    ]
    renamed = curate(before, "merge-duplicates:renamed")[0]
    assert kept_codes(renamed)["s", "a"] == ["x = 1", "x ="]


def test_duplicates_that_a_removed_submission_stood_between_are_merged() -> None:
    before = course(ONE, [trajectory("s", "a", (GOOD, 0.0), (BAD, 0.0), (GOOD, 0.0))])
    after, _ = curate(before, "drop-non-compiling,merge-duplicates")
    assert kept_codes(after)["s", "a"] == [GOOD]


def test_last_grade_looks_at_the_last_submission() -> None:
    before = course(
        ONE,
        [
            trajectory("s1", "a", (GOOD, 1.0), (GOOD, 0.49)),
            trajectory("s2", "a", (GOOD, 0.0), (GOOD, 0.5)),
        ],
    )
    assert list(kept_codes(curate(before, "last-grade:0.5")[0])) == [("s2", "a")]


def test_stop_at_correct_cuts_what_follows() -> None:
    before = course(
        ONE, [trajectory("s", "a", ("a = 1", 0.5), ("a = 2", 1.0), ("a = 3", 0.0), ("a = 4", 1.0))]
    )
    assert kept_codes(curate(before, "stop-at-correct")[0])["s", "a"] == ["a = 1", "a = 2"]


def test_no_csv_looks_into_prompt_script_and_files() -> None:
    with_file = TestSuite(cases=SUITE.cases, files=(("data.csv", "1,2"),))
    before = course(
        [
            assignment("a"),
            assignment("b", prompt="Read x.csv."),
            Assignment("c", "", "", with_file),
        ],
        [trajectory("s", key, (GOOD, 0.0)) for key in "abc"],
    )
    assert list(curate(before, "no-csv")[0].assignments) == ["a"]


def test_no_exams_drops_assignments_of_kind_exam() -> None:
    before = course([assignment("a"), assignment("b", kind="exam")], [])
    assert list(curate(before, "no-exams")[0].assignments) == ["a"]


def test_min_submissions_counts_what_earlier_steps_left() -> None:
    before = course(ONE, [trajectory("s", "a", (GOOD, 0.0), (BAD, 0.0), (GOOD, 0.0))])
    assert len(curate(before, "min-submissions:3")[0].trajectories) == 1
    assert len(curate(before, "drop-non-compiling,min-submissions:3")[0].trajectories) == 0


def with_lengths(lengths: dict[str, list[int]]) -> Course:
    """Ordered by student, so that the assignments' trajectories are interleaved."""
    found = [
        trajectory(f"s{i}", key, *[(f"x = {n}", 0.0) for n in range(length)])
        for key, values in lengths.items()
        for i, length in enumerate(values)
    ]
    return course([assignment(key) for key in lengths], sorted(found, key=lambda t: t.student_id))


def test_mad_outliers_are_dropped_whatever_the_order_of_the_rows() -> None:
    before = with_lengths({"a": [4, 5, 6, 5, 60], "b": [30, 31, 32, 31, 3]})
    after, _ = curate(before, "mad-outliers")
    dropped = {t.key for t in before.trajectories} - {t.key for t in after.trajectories}
    assert dropped == {("s4", "a"), ("s4", "b")}


def test_mad_of_zero_keeps_all_and_one_assignment_is_enough() -> None:
    assert len(curate(with_lengths({"a": [5, 5, 5, 90]}), "mad-outliers")[0].trajectories) == 4


@given(st.dictionaries(st.sampled_from("ab"), st.lists(st.integers(1, 30), min_size=1, max_size=9)))
def test_mad_outliers_agree_with_the_formula(lengths: dict[str, list[int]]) -> None:
    after, _ = curate(with_lengths(lengths), "mad-outliers:3.5")
    expected = set()
    for key, values in lengths.items():
        median = statistics.median(values)
        mad = statistics.median([abs(value - median) for value in values])
        for i, value in enumerate(values):
            if mad == 0 or 0.6745 * abs(value - median) <= 3.5 * mad + 1e-9:
                expected.add((f"s{i}", key))
    assert {t.key for t in after.trajectories} == expected


def test_the_papers_five_steps_in_order_report_each() -> None:
    before = course(
        [assignment("a", lesson="l"), assignment("b", lesson="l"), assignment("p", kind="project")],
        [
            trajectory("s1", "a", (GOOD, 0.0), (BAD, 0.0), (GOOD, 0.0), ("x = 2", 1.0)),
            trajectory("s2", "a", (GOOD, 0.0)),
            trajectory("s2", "b", (GOOD, 1.0)),
            trajectory("s3", "p", (GOOD, 1.0)),
        ],
    )
    after, report = curate(before, "paper")
    assert kept_codes(after) == {("s1", "a"): [GOOD, "x = 2"]}
    assert report.before == Counts(4, 7, 3, 3)
    assert [(s.step, s.kept) for s in report.steps] == [
        ("labs-only", Counts(3, 6, 2, 2)),
        ("top-assignment-per-lesson", Counts(2, 5, 2, 1)),
        ("passed-one-test", Counts(1, 4, 1, 1)),
        ("drop-non-compiling", Counts(1, 3, 1, 1)),
        ("merge-duplicates", Counts(1, 2, 1, 1)),
    ]
    assert json.loads(json.dumps(report.to_json()))["steps"][4]["removed"]["submissions"] == 1


def test_the_published_preset_runs() -> None:
    codes = [(f"x = '{n}'", n / 8) for n in range(9)] + [("x = 'later'", 1.0)]
    before = course(ONE, [trajectory("s", "a", *codes), trajectory("t", "a", *codes[:5])])
    after, _ = curate(before, "published")
    assert {key: len(value) for key, value in kept_codes(after).items()} == {("s", "a"): 9}


def test_steps_do_not_change_the_course_they_are_given() -> None:
    before = course(ONE, [trajectory("s", "a", (BAD, 0.0), (GOOD, 0.0))])
    curate(before, "drop-non-compiling")
    assert kept_codes(before) == {("s", "a"): [BAD, GOOD]}


def test_a_curated_course_can_be_curated_again() -> None:
    codes = [("x = 1", 0.0), (BAD, 0.0), ("x = 2", 0.0), ("x=2", 1.0)]
    before = course(ONE, [trajectory("r", "a", (BAD, 0.0)), trajectory("s", "a", *codes)])
    once, _ = curate(before, "drop-non-compiling")
    twice, report = curate(once, "merge-duplicates")
    assert kept_codes(twice) == {("s", "a"): ["x = 1", "x = 2"]}
    assert report.before == Counts(1, 3, 1, 1)
    assert twice.trajectories[-1] == twice.trajectories[0] == next(iter(twice.trajectories))


class Streamed(Sequence[Trajectory]):
    """Trajectories made when asked for, counting the walks through them."""

    def __init__(self, count: int) -> None:
        self.count, self.walks = count, 0

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, index: int) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Trajectory]: ...
    def __getitem__(self, index: int | slice) -> Trajectory | Sequence[Trajectory]:
        assert isinstance(index, int)
        return trajectory(f"s{index:04}", "a", ("x = 1", 0.0), ("x = 1", index % 2))

    def __iter__(self) -> Iterator[Trajectory]:
        self.walks += 1
        return (self[index] for index in range(self.count))


def test_a_stored_course_is_walked_through_not_copied() -> None:
    stored = Streamed(100)
    before = Course("big", {"a": ONE[0]}, stored)
    after, _ = curate(before, "labs-only,passed-one-test,merge-duplicates,min-submissions:1")
    assert stored.walks == 3  # ids, grades, code
    assert len(after.trajectories) == 50
    assert all(len(t.submissions) == 1 for t in after.trajectories[10:20])


def test_a_course_directory_curates_like_the_course_in_memory(tmp_path: Path) -> None:
    before = course(
        ONE,
        [
            trajectory(f"s{i:03}", "a", (BAD, 0.0), (f"x = {i}", 0.5), ("x = 0", i % 2))
            for i in range(300)
        ],
    )
    save_course(before, tmp_path / "stored")
    steps = "drop-non-compiling,merge-duplicates,last-grade:1"
    stored, stored_report = curate(open_course(tmp_path / "stored"), steps)
    kept, report = curate(before, steps)
    assert stored_report == report
    assert list(stored.trajectories) == list(kept.trajectories)
    save_course(stored, tmp_path / "curated")
    assert list(open_course(tmp_path / "curated").trajectories) == list(kept.trajectories)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("labs-onyl", "Did you mean 'labs-only'"),
        ("min-submissions", "write it as min-submissions:N"),
        ("min-submissions:0", "at least 1"),
        ("last-grade:50", r"in \[0, 1\]"),
        ("last-grade:half", "last-grade:GRADE"),
        ("mad-outliers:nan", "above 0"),
        ("merge-duplicates:fuzzy", "exact, renamed, alpha"),
        ("labs-only:1", "takes no parameter"),
    ],
)
def test_a_wrong_step_is_an_error_that_shows_the_right_form(steps: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_steps(steps)


def test_steps_of_ones_own_stand_beside_named_ones() -> None:
    first = CurationStep("first-half", "the first half", lambda s: s.with_picks(s.picks[:1]))
    before = course(ONE, [trajectory(s, "a", (GOOD, 0.0)) for s in "rst"])
    after, report = curate(before, ["labs-only", first])
    assert [t.student_id for t in after.trajectories] == ["r"]
    assert [s.step for s in report.steps] == ["labs-only", "first-half"]


def test_presets_unfold_and_every_step_is_described() -> None:
    assert tuple(step.name for step in parse_steps("paper")) == PRESETS["paper"]
    described = {usage.partition(":")[0].partition("[")[0] for usage, _ in describe_steps()}
    named = {name.partition(":")[0] for steps in PRESETS.values() for name in steps}
    assert named | set(PRESETS) <= described


def test_the_papers_steps_on_real_logs(shared: Path) -> None:
    folder = shared / "data" / "itap"
    itap = load_course(f"progsnap2:{folder}", tests=folder / "assignments.json")
    after, report = curate(itap, "paper")
    broken = report.steps[3].removed.submissions / report.steps[2].kept.submissions
    assert 0.1 < broken < 0.25  # the data's own description says 0.207 over all students
    assert 0 < report.steps[4].removed.submissions < 100
    for t in after.trajectories:
        keys = [ast_key(s.code) for s in t.submissions]
        assert not any(key.startswith("unparsable") for key in keys)
        assert all(one != two for one, two in itertools.pairwise(keys))
    assert sum(len(t.submissions) for t in after.trajectories) == report.after.submissions
