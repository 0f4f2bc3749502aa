"""The embedded course's assignments: every promise a teacher relies on, checked by grading."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from itertools import combinations

import pytest

from novicegym.courses.cs1.build import load_assignments, parse_assignment
from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite
from novicegym.courses.syntax import same_ast
from novicegym.errors import CourseError
from novicegym.grading.grader import Grader

ASSIGNMENTS = load_assignments()
LABS = [assignment for assignment in ASSIGNMENTS.values() if assignment.kind == "lab"]
PROGRAMS = [assignment for assignment in ASSIGNMENTS.values() if assignment.entry_point is None]
FUNCTIONS = [assignment for assignment in ASSIGNMENTS.values() if assignment.entry_point]
LITERAL = re.compile(r"\[[^\]]*\]|-?\d+(\.\d+)?|True|False|None")
"""An answer quoted in a prompt; a comma or a full stop may follow it."""
LINES = {"skill": range(1, 11), "lab": range(10, 51)}
"""FalconCode's sizes: lines that are neither blank nor a comment."""

each_assignment = pytest.mark.parametrize("assignment", ASSIGNMENTS.values(), ids=ASSIGNMENTS)


def code_lines(code: str) -> int:
    """Lines that are neither blank nor a comment."""
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in code.split("\n"))


def has_only_literals(call: str) -> bool:
    """Whether a call in a prompt is an example, not a signature like `couples(seats)`."""
    names = [node.id for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Name)]
    return len(names) == 1


def functions_asked_for(assignment: Assignment) -> set[str]:
    """The functions that the call cases call."""
    return {
        case.call.split("(")[0] for case in assignment.tests.cases if isinstance(case, CallCase)
    }


def test_the_course_is_large_and_varied_enough() -> None:
    assert len(ASSIGNMENTS) >= 16
    assert len({a.lesson for a in ASSIGNMENTS.values()}) >= 8
    assert len({concept for a in ASSIGNMENTS.values() for concept in a.concepts}) >= 8
    assert len(PROGRAMS) >= 8
    assert len(FUNCTIONS) >= 8


def test_labs_only_and_one_lab_a_lesson_both_leave_something_out() -> None:
    lessons = [lab.lesson for lab in LABS]
    assert 0 < len(ASSIGNMENTS) - len(LABS) <= 3
    assert sum(lessons.count(lesson) == 2 for lesson in set(lessons)) >= 3


def test_assignments_are_in_the_order_of_their_lessons() -> None:
    lessons = [str(a.lesson) for a in ASSIGNMENTS.values()]
    assert lessons == sorted(lessons)
    for assignment in ASSIGNMENTS.values():
        number = re.fullmatch(r"lsn(\d\d)_[a-z]+", assignment.id)
        assert number is not None, assignment.id
        assert str(assignment.lesson).startswith(f"lesson{number[1]}_")


@each_assignment
def test_every_solution_passes_every_case(assignment: Assignment, grader: Grader) -> None:
    for number, solution in enumerate(assignment.solutions):
        verdict = grader.grade(assignment, solution)
        failed = [case for case in verdict.cases if not case.passed]
        assert verdict.correct, f"solution {number}: {verdict.outcome} {verdict.message} {failed}"


@each_assignment
def test_doing_nothing_fails(assignment: Assignment, grader: Grader) -> None:
    assert grader.grade(assignment, "").grade == 0
    if assignment.starter is not None:
        assert not grader.grade(assignment, assignment.starter).correct


@each_assignment
def test_no_constant_answer_passes_two_thirds_of_the_cases(assignment: Assignment) -> None:
    answers = [
        f"{case.call.split('(')[0]} {case.expected!r}"
        if isinstance(case, CallCase)
        else case.stdout
        for case in assignment.tests.cases
    ]
    assert max(answers.count(answer) for answer in answers) < len(answers) * 2 / 3


@each_assignment
def test_solutions_are_many_and_differ_in_structure(assignment: Assignment) -> None:
    assert len(assignment.solutions) >= 4
    for (i, one), (j, other) in combinations(enumerate(assignment.solutions), 2):
        assert not same_ast(one, other, "alpha"), f"solutions {i} and {j} are the same program"


@each_assignment
def test_solutions_are_of_the_size_of_their_kind(assignment: Assignment) -> None:
    for number, solution in enumerate(assignment.solutions):
        assert code_lines(solution) in LINES[assignment.kind], f"solution {number}"


@each_assignment
def test_solutions_use_builtins_and_math_only(assignment: Assignment) -> None:
    for solution in assignment.solutions:
        for node in ast.walk(ast.parse(solution)):
            assert not isinstance(node, ast.ImportFrom | ast.ClassDef | ast.Lambda | ast.Try)
            if isinstance(node, ast.Import):
                assert [alias.name for alias in node.names] == ["math"]


@each_assignment
def test_cases_are_many_named_and_different(assignment: Assignment) -> None:
    cases = assignment.tests.cases
    assert 8 <= len(cases) <= 13
    names = [case.name for case in cases]
    assert all(names)
    assert len(set(names)) == len(names)
    given = [case.call if isinstance(case, CallCase) else case.stdin for case in cases]
    assert len(set(given)) == len(given)


@each_assignment
def test_the_prompt_says_what_to_write(assignment: Assignment) -> None:
    assert assignment.title
    assert "Example" in assignment.prompt
    assert all(len(line) <= 100 for line in assignment.prompt.split("\n"))
    if assignment.entry_point is None:
        assert "Write a program" in assignment.prompt or "The program reads" in assignment.prompt
    else:
        assert assignment.entry_point in functions_asked_for(assignment)
    for name in functions_asked_for(assignment):
        assert f"{name}(" in assignment.prompt


@pytest.mark.parametrize("assignment", FUNCTIONS, ids=lambda assignment: assignment.id)
def test_the_examples_in_a_function_s_prompt_are_true(
    assignment: Assignment, grader: Grader
) -> None:
    examples = re.findall(r"(\w+\([^\n]*?\)) +returns ([^\n]+)", assignment.prompt)
    cases = tuple(
        CallCase(call, ast.literal_eval(str(literal[0])))
        for call, answer in examples
        if has_only_literals(call) and (literal := LITERAL.match(answer))
    )
    assert cases
    quoted = replace(assignment, tests=TestSuite(cases=cases))
    assert grader.grade(quoted, assignment.solutions[0]).correct


@pytest.mark.parametrize("assignment", PROGRAMS, ids=lambda assignment: assignment.id)
def test_the_example_in_a_program_s_prompt_is_its_first_case(assignment: Assignment) -> None:
    first = assignment.tests.cases[0]
    assert isinstance(first, IOCase)
    for text in (first.stdin, first.stdout):
        block = "".join(f"    {line}\n" for line in text.rstrip("\n").split("\n"))
        assert f"\n\n{block}" in f"{assignment.prompt}\n"


@each_assignment
def test_input_and_output_texts_carry_no_junk(assignment: Assignment) -> None:
    for case in assignment.tests.cases:
        if isinstance(case, IOCase):
            assert case.stdin.endswith("\n")
            for line in case.stdout.split("\n")[:-1]:
                assert line, "a blank line in the expected output"
                assert line == line.strip()
            assert case.stdout.endswith("\n")


MINIMAL = """
id = "x"
title = "X"
lesson = "lesson01"
kind = "lab"
concepts = ["output"]
prompt = "Print 1."
[[cases]]
name = "one"
stdin = ""
stdout = "1"
[[solutions]]
code = "print(1)"
"""


def test_a_minimal_file_is_read() -> None:
    assignment = parse_assignment(MINIMAL, "x.toml")
    assert assignment.prompt == "Print 1."
    assert assignment.tests.cases == (IOCase("", "1", "one"),)
    assert (assignment.entry_point, assignment.starter) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "X"', "", "x.toml, field 'title': is missing"),
        ('title = "X"', "title = 3", "field 'title', value 3: must be a string"),
        ('title = "X"', 'title = "X"\ntitel = "X"', "field 'titel': is not a field"),
        ('id = "x"', 'id = "y"', "field 'id', value 'y': must be the file's name"),
        ('stdout = "1"', "", "field 'cases[0].stdout': is missing"),
        ('stdout = "1"', 'stdout = "1"\ncall = "f()"', "field 'cases[0].expected': is missing"),
        (
            'stdin = ""\nstdout = "1"',
            'call = "f()"\nexpected = "yes"',
            "field 'cases[0].expected', value 'yes': must be a Python literal",
        ),
        ('title = "X"', 'title = "X"\ntolerance = -0.1', "field 'tolerance', value -0.1"),
        ("[[solutions]]", "[solutions]", "field 'solutions', value"),
        ('title = "X"', "title = ", "x.toml: not TOML"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_field(old: str, new: str, message: str) -> None:
    assert old in MINIMAL
    with pytest.raises(CourseError, match=re.escape(message)):
        parse_assignment(MINIMAL.replace(old, new), "x.toml")
