"""The policy that jumps to a solution."""

from __future__ import annotations

from dataclasses import replace

from novicegym.agents.reference import ReferenceAgent

LOOP = "def double(x):\n    y = 0\n    for _ in range(2):\n        y += x\n    return y"
PRODUCT = "def double(x):\n    return 2 * x"
SAME_PRODUCT = "def double(number):\n    return 2 * number"
SUM = "def double(x):\n    return x + x"
WRONG = "def double(x):\n    return x"


def test_it_jumps_to_the_given_solution_nearest_to_the_last_code(
    submit, make_course, double, grader
) -> None:
    given = replace(double, solutions=(LOOP, PRODUCT))
    agent = ReferenceAgent(make_course(given, {"a": [SUM]}), grader=grader)
    assert submit(agent, given, "def double(x):\n    return 3 * x") == PRODUCT
    assert submit(agent, given, LOOP.replace("2", "3")) == LOOP


def test_without_given_solutions_it_is_what_most_other_students_wrote(
    submit, make_course, double, grader
) -> None:
    logs = {
        "a": [WRONG, SUM, SUM, SUM],
        "b": [PRODUCT],
        "c": [SAME_PRODUCT],
        "d": [WRONG],
        "e": [WRONG],
        "f": [WRONG],
    }
    agent = ReferenceAgent(make_course(double, logs), grader=grader)
    assert submit(agent, double, WRONG) == PRODUCT
    assert submit(agent, double, WRONG, student="b") == SUM  # one writer each: a before c
    assert submit(agent, double, WRONG, student="a") == PRODUCT


def test_her_own_solution_does_not_count(submit, make_course, double, grader) -> None:
    agent = ReferenceAgent(make_course(double, {"a": [SUM], "z": [PRODUCT]}), grader=grader)
    assert submit(agent, double, WRONG, student="a") == PRODUCT
    assert submit(agent, double, WRONG, student="z") == SUM


def test_where_nobody_else_solved_it_the_last_code_is_submitted_again(
    submit, make_course, double, grader
) -> None:
    agent = ReferenceAgent(make_course(double, {"me": [PRODUCT], "b": [WRONG]}), grader=grader)
    assert submit(agent, double, WRONG) == WRONG


def test_what_it_submits_is_correct(submit, make_course, double, grader) -> None:
    agent = ReferenceAgent(make_course(double, {"a": [WRONG, PRODUCT]}), grader=grader)
    assert grader.grade(double, submit(agent, double, WRONG)).correct
