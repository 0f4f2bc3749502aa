"""Two policies compared: on runs whose difference is known, and where it is made to hide."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import DRAWS_A_TEST, holm, paired_differences
from novicegym.eval.compare import Comparison, Place, compare_policies
from novicegym.eval.metrics import score_steps
from novicegym.eval.records import RECORDS
from novicegym.eval.support import impute

STUDENTS, POSITIONS, STEPS = 12, (3, 4, 5), 2

Grade = Callable[[int, str, int, int], Fraction | None]
"""Of a student's number, assignment, position and step; None: no submission."""


def run(grade: Grade, agent: str = "a", seed: int = 0, **changes: Any) -> pa.Table:
    """Return the records of a policy that gives these grades; the students are all correct."""
    rows = []
    for student in range(STUDENTS):
        for assignment in ("loops", "lists"):
            for position in POSITIONS:
                for step in range(1, STEPS + 1):
                    value = grade(student, assignment, position, step)
                    rows.append(
                        {
                            "course": "cs0",
                            "synthetic": True,
                            "agent": agent,
                            "protocol": "paper",
                            "seed": seed,
                            "student_id": f"s{student:02}",
                            "assignment_id": assignment,
                            "position": position,
                            "step": step,
                            "logged_code": f"x = {position + step}",
                            "logged_grade_num": 1,
                            "logged_grade_den": 1,
                            "generated_code": None if value is None else f"y = {agent!r}",
                            "grade_num": None if value is None else value.numerator,
                            "grade_den": None if value is None else value.denominator,
                        }
                        | changes
                    )
    return pa.Table.from_pylist(rows, schema=RECORDS)


def noisy(seed: int, above: Fraction = Fraction(0)) -> Grade:
    """Return grades around 1/2, drawn by seat: more to the same seat is more for everyone."""

    def grade(student: int, assignment: str, position: int, step: int) -> Fraction:
        rng = np.random.default_rng([seed, student, len(assignment), position, step])
        return Fraction(int(rng.integers(20, 60)), 100) + above

    return grade


def compared(first: pa.Table, second: pa.Table, **options: Any) -> Comparison:
    return compare_policies({"a": first}, {"b": second}, with_codebleu=False, **options)


def verdicts(found: Comparison) -> dict[tuple[str, str], str]:
    return {(row.view, row.metric): row.verdict for row in found.rows}


def test_a_shared_gain_is_sure_however_unsure_the_values_are() -> None:
    found = compared(run(noisy(1)), run(noisy(1, Fraction(1, 50))))
    for row in found.rows:
        assert row.difference is not None
        if row.metric == "grade_proximity":
            assert row.verdict == "better"
            assert row.difference.value == pytest.approx(0.02)
            assert row.p == pytest.approx(3 * 2 / (DRAWS_A_TEST * 4 + 1))  # Holm, of three rows
    assert found.answer == {"coverage": "cannot tell", "grade_proximity": "better"}


def test_equal_policies_cannot_be_told_apart() -> None:
    found = compared(run(noisy(1)), run(noisy(2), "b"))
    assert set(verdicts(found).values()) == {"cannot tell"}
    same = compared(run(noisy(1)), run(noisy(1)))
    assert {row.p for row in same.rows} == {1}
    assert {row.difference.value for row in same.rows if row.difference} == {0}


def test_a_policy_that_answers_only_what_is_easy_does_not_get_away_with_it() -> None:
    plain = run(lambda *seat: Fraction(9, 10) if seat[3] == 1 else Fraction(3, 10))
    picky = run(lambda *seat: Fraction(8, 10) if seat[0] % 2 or seat[3] == 1 else None, "b")
    found = compared(plain, picky)
    assert verdicts(found) == {
        ("covered", "coverage"): "worse",
        ("covered", "grade_proximity"): "better",
        ("imputed", "grade_proximity"): "cannot tell",
    }
    assert found.common_share == 0.75
    # Sure here and unsure there does not make the two differ.
    assert found.answer["grade_proximity"] == "cannot tell in both"
    lost = compared(plain, run(lambda *seat: Fraction(8, 10) if seat[3] == 1 else None, "b"))
    assert verdicts(lost)["covered", "grade_proximity"] == "better"
    assert verdicts(lost)["imputed", "grade_proximity"] == "worse"
    assert lost.answer["grade_proximity"] == "depends on coverage"


def test_turned_round_the_verdicts_turn_too() -> None:
    first = run(noisy(1))
    second = run(lambda *seat: None if seat[3] == 2 else noisy(3, Fraction(1, 10))(*seat), "b")
    there, back = compared(first, second), compared(second, first)
    opposite = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    assert {opposite[word] for word in verdicts(there).values()} == {"better", "worse"}
    for row, turned in zip(there.rows, back.rows, strict=True):
        assert turned.verdict == opposite[row.verdict]
        assert turned.p == row.p
        assert (row.first, row.second) == (turned.second, turned.first)


def test_rows_are_the_bootstraps_and_their_p_values_holms() -> None:
    first, second = run(noisy(1)), run(noisy(2, Fraction(1, 25)), "b")
    found = compare_policies({"a": first}, {"b": second}, samples=300, seed=4)
    assert len(found.rows) == 7
    p_values = {}
    for view, change in (("covered", list), ("imputed", impute)):
        runs = [[change(score_steps(one))] for one in (first, second)]
        wanted = paired_differences(*runs, samples=DRAWS_A_TEST * 8, seed=4)
        for row in found.rows:
            difference = wanted[row.metric]
            if row.view == view and difference is not None:
                assert row.difference == difference.interval
                p_values[view, row.metric] = difference.p
    assert {(row.view, row.metric): row.p for row in found.rows} == holm(p_values)


def test_where_nothing_is_covered_there_is_no_value_and_no_verdict() -> None:
    found = compared(run(noisy(1)), run(lambda *_: None, "b"))
    [proximity] = [row for row in found.rows if row.view == "covered" and "grade" in row.metric]
    assert (proximity.second, proximity.difference, proximity.p) == (None, None, None)
    assert proximity.verdict == "cannot tell"
    assert verdicts(found)["imputed", "grade_proximity"] == "worse"
    assert found.common_share == 0


def test_seeds_of_a_policy_are_taken_together() -> None:
    above, below = run(noisy(1, Fraction(1, 10))), run(noisy(1, Fraction(-1, 10)), seed=1)
    found = compare_policies(
        {"a0": above, "a1": below}, {"b": run(noisy(1), "b")}, with_codebleu=False
    )
    for row in found.rows:
        assert row.difference is not None
        assert row.difference.value == pytest.approx(0, abs=1e-12)
    assert (found.first.seeds, found.first.runs) == ((0, 1), ("a0", "a1"))


def places(found: Comparison, by: str) -> list[Place]:
    return [place for place in found.places if place.by == by]


def test_places_are_ranked_by_what_is_sure() -> None:
    """Lists are lost by everybody; one student lost everything at position 5."""

    def grade(student: int, assignment: str, position: int, step: int) -> Fraction | None:
        if position == 5 and student == 0:
            return None
        lost = Fraction(1, 10) if assignment == "lists" else Fraction(0)
        return noisy(1, -lost)(student, assignment, position, step)

    found = compared(run(noisy(1)), run(grade, "b"))
    first, second = places(found, "assignment")
    assert (first.name, first.students, first.submissions) == ("lists", STUDENTS, 72)
    assert first.difference.value == pytest.approx(-0.1, abs=0.03)
    assert first.difference.high < 0 == second.difference.high
    assert {place.name for place in places(found, "position")} == {"3", "4", "5"}
    assert [place.submissions for place in places(found, "step")] == [72, 72]


def test_a_place_of_one_student_is_left_out() -> None:
    first, second = (
        one.filter(
            pc.or_(pc.equal(one["assignment_id"], "loops"), pc.equal(one["student_id"], "s00"))
        )
        for one in (run(noisy(1)), run(noisy(2), "b"))
    )
    assert [place.name for place in places(compared(first, second), "assignment")] == ["loops"]


def test_a_place_of_few_students_comes_last_however_large_its_difference() -> None:
    def grade(student: int, assignment: str, position: int, step: int) -> Fraction:
        lost = Fraction(1, 5) if assignment == "lists" else Fraction(1, 100)
        return noisy(1, -lost)(student, assignment, position, step)

    for students, order in ((5, ["loops", "lists"]), (6, ["lists", "loops"])):
        first, second = (
            one.filter(
                pc.or_(
                    pc.equal(one["assignment_id"], "loops"),
                    pc.less(one["student_id"], f"s{students:02}"),
                )
            )
            for one in (run(noisy(1)), run(grade, "b"))
        )
        assert [place.name for place in places(compared(first, second), "assignment")] == order


def test_examples_are_where_each_is_ahead_and_the_middle() -> None:
    def grade(student: int, assignment: str, position: int, step: int) -> Fraction:
        if (assignment, position, step) == ("loops", 4, 1) and student in (2, 7):
            return Fraction(1 if student == 2 else 0)
        return Fraction(1, 2)

    found = compared(run(lambda *_: Fraction(1, 2)), run(grade, "b"))
    ahead, behind, middle = found.examples
    assert (ahead.student_id, ahead.assignment_id, ahead.position) == ("s02", "loops", 4)
    assert (ahead.first_closeness, ahead.second_closeness) == (0.5, 1)
    assert (behind.student_id, behind.second_closeness) == ("s07", 0)
    assert (middle.first_closeness, middle.second_closeness) == (0.5, 0.5)
    # Submission 4 is what was to come after 3.
    assert ahead.start is not None
    assert (ahead.start.code, ahead.start.grade) == ("x = 4", 1)
    assert (ahead.logged.code, ahead.first.code, ahead.second.code) == (
        "x = 5",
        "y = 'a'",
        "y = 'b'",
    )
    assert (ahead.second.grade, behind.second.grade) == (1, 0)


def test_an_example_says_where_a_policy_made_no_submission() -> None:
    found = compared(run(noisy(1)), run(lambda *_: None, "b"))
    assert {(one.second.code, one.second.grade) for one in found.examples} == {(None, None)}
    assert {one.second_closeness for one in found.examples} == {0}


def test_a_start_that_is_in_no_record_is_not_made_up() -> None:
    first, second = (
        one.filter(pc.equal(one["position"], 3)) for one in (run(noisy(1)), run(noisy(2), "b"))
    )
    examples = compared(first, second).examples
    assert len(examples) == 3
    assert {one.start for one in examples} == {None}


def test_neither_the_order_of_records_nor_their_chunks_matter() -> None:
    first, second = run(noisy(1)), run(noisy(2, Fraction(1, 20)), "b")
    order = np.random.default_rng(0).permutation(len(first))
    shuffled = first.take(order)
    parts = pa.concat_tables([shuffled.slice(0, 50), shuffled.slice(50)])
    one, other = compared(first, second).to_json(), compared(parts, second).to_json()
    assert one["examples"] == other["examples"]
    assert one["answer"] == other["answer"]
    for row, again in zip(one["rows"], other["rows"], strict=True):
        assert row["p"] == again["p"]
        assert row["difference"] == pytest.approx(again["difference"])


def test_json_holds_everything() -> None:
    found = compared(run(noisy(1)), run(noisy(1, Fraction(1, 50)), "b"))
    data = json.loads(json.dumps(found.to_json()))
    assert data["answer"]["grade_proximity"] == "better"
    assert (data["students"], data["episodes"], data["submissions"]) == (12, 72, 144)
    assert data["first"] == {"agent": "a", "seeds": [0], "runs": ["a"]}
    assert data["rows"][1]["difference"]["value"] == pytest.approx(0.02)
    assert len(data["places"]) == 2 + len(POSITIONS) + STEPS
    assert len(data["examples"]) == 3


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"b": run(noisy(1))}, "at least one run of each"),
        ({"a": run(noisy(1))}, {"b": run(noisy(1), course="cs9")}, "different courses"),
        ({"a": run(noisy(1))}, {"b": run(noisy(1)).slice(0, 9)}, "do not start from the same"),
        ({"a": run(noisy(1)), "c": run(noisy(1), "c")}, {"b": run(noisy(1))}, "'a' and 'c'"),
        ({"a": run(noisy(1)), "c": run(noisy(2))}, {"b": run(noisy(1))}, "the seeds 0, 0"),
        (*[{name: run(noisy(1), student_id="s").slice(0, 2)} for name in "ab"], "2 students"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    first: dict[str, pa.Table], second: dict[str, pa.Table], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        compare_policies(first, second, with_codebleu=False)
