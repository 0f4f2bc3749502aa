"""Test scripts in FalconCode's protocol."""

from __future__ import annotations

from fractions import Fraction

import pytest

from novicegym.courses.model import Assignment
from novicegym.courses.suite import TestScript, TestSuite
from novicegym.errors import GraderError
from novicegym.grading.grader import Grader

ADD = """
from cs110 import autograder
import random

def test_passed():
    points = 0
    for trial in range(3):
        a, b = random.randint(0, 50), random.randint(0, 50)
        output, error = autograder.run_script("lab3.py", [a, b])
        if autograder.equals(output, a + b):
            print("PASSED!\\n")
            points += 33.3
        else:
            print("Expected:", a + b)
    return points + 0.1 if points > 99 else points

# Runs your code in an IDE (for testing purposes)
if __name__ == "__main__":
    print("Unit Test Returned:", test_passed())
"""
RIGHT = "a = float(input('first? '))\nb = float(input())\nprint(a + b)\n"


def scripted(source: str, max_score: float = 100.0, **files: str) -> Assignment:
    given = tuple((name.replace("_", "."), text) for name, text in files.items())
    suite = TestSuite(script=TestScript(source, max_score), files=given)
    return Assignment("lab3", "", "", suite)


def test_a_right_program_gets_all_points(grader: Grader) -> None:
    verdict = grader.grade(scripted(ADD), RIGHT)
    assert (verdict.grade, verdict.outcome, verdict.cases) == (1, "correct", ())
    assert verdict.message.startswith("Inputs Provided:\n24\n48\n\nYour Program's Output:\n72.0\n")
    assert "Feedback:\nPASSED!" in verdict.message
    assert verdict.message.splitlines()[-1].startswith("Unit Test Returned: 100")


@pytest.mark.parametrize(
    ("code", "outcome", "said"),
    [
        ("print(0)", "logical", "Expected: 72"),
        ("print(input() + 1)", "runtime", "TypeError: can only concatenate str"),
        ("while True: pass", "timeout", "Timed out."),
        ("print(1", "compile", "SyntaxError: '(' was never closed"),
        ("x = input(), input(), input()", "runtime", "EOFError: EOF when reading a line"),
    ],
)
def test_a_wrong_program_gets_none(
    quick_grader: Grader, code: str, outcome: str, said: str
) -> None:
    verdict = quick_grader.grade(scripted(ADD), code)
    assert (verdict.grade, verdict.outcome) == (0, outcome)
    assert said in verdict.message


def test_points_are_exact_over_the_maximum_and_kept_within_it(grader: Grader) -> None:
    assert grader.grade(scripted("def test_passed(): return 66.6"), "").grade == Fraction(333, 500)
    assert grader.grade(scripted("def test_passed(): return 1", 3), "").grade == Fraction(1, 3)
    assert grader.grade(scripted("def test_passed(): return 120"), "").grade == 1
    assert grader.grade(scripted("def test_passed(): return -5"), "").grade == 0
    assert grader.grade(scripted("def test_passed(): pass"), "").grade == 0


def test_flags_are_listed(grader: Grader) -> None:
    verdict = grader.grade(scripted("def test_passed(): return 50, 'uses eval', 'no loop'"), "")
    assert verdict.grade == Fraction(1, 2)
    assert verdict.message == "Flag: uses eval\nFlag: no loop\nUnit Test Returned: 50"


def test_lines_are_compared_one_by_one(grader: Grader) -> None:
    script = (
        "from cs110.autograder import *\n"
        "def test_passed():\n"
        "    output, error = run_script('lab3.py', print_details=False)\n"
        "    return 50 * compare_strings(output.strip().split('\\n'), ['a', 'b'])\n"
    )
    verdict = grader.grade(scripted(script), "print('a ')\nprint('x')\nprint('c')")
    assert verdict.grade == Fraction(1, 2)
    assert verdict.message.splitlines() == [
        "Line 1: CORRECT",
        "Line 2: INCORRECT (Expected: 'b') x",
        "Line 3: INCORRECT (Unexpected Line: 'c')",
        "1 out of 2 lines match",
        "Unit Test Returned: 50",
    ]


def test_a_script_reads_the_program_and_its_files(grader: Grader) -> None:
    script = (
        "import cs110.autograder as autograder\n"
        "def test_passed():\n"
        "    if not autograder.code_compiles('lab3.py'): return 0\n"
        "    text = open('lab3.py').read() + open('data.txt').read()\n"
        "    return 100 if 'draw_circle(' in text and 'seven' in text else 10\n"
    )
    assignment = scripted(script, data_txt="seven")
    assert grader.grade(assignment, "draw_circle(1)\n").correct
    assert grader.grade(assignment, "draw_circle(1\n").grade == 0


def test_a_script_may_import_the_program_as_a_module(grader: Grader) -> None:
    script = (
        "import lab3\n"
        "def test_passed():\n"
        "    result = lab3.count({'a': [1, (2,)]}, key='a')\n"
        "    print(result, lab3.LIMIT)\n"
        "    return 100 if result == {2} and lab3.LIMIT == 7 else 0\n"
    )
    code = "LIMIT = 7\ndef count(table, key):\n    print('here')\n    return {len(table[key])}\n"
    verdict = grader.grade(scripted(script), code)
    assert verdict.correct
    assert verdict.message == "here\n{2} 7\nUnit Test Returned: 100"
    broken = grader.grade(scripted(script), "def count(table, key): return table[1]\n")
    assert (broken.grade, broken.outcome) == (0, "runtime")
    assert "KeyError: 1" in broken.message
    missing = grader.grade(scripted(script), "x = 1")
    assert (missing.grade, missing.outcome) == (0, "logical")
    assert "your program has no count" in missing.message


@pytest.mark.parametrize(
    ("imports", "known"),
    [
        ("import lab3, numpy\nNAME = 'lab3.py'", "lab3"),
        ("from randon import randint\nNAME = 'area.py'", "area"),
        ("import lab3.part\nNAME = 'lab3.py'", "lab3"),
    ],
)
def test_a_module_that_is_nobodys_is_not_taken_for_the_program(
    grader: Grader, imports: str, known: str
) -> None:
    script = f"{imports}\ndef test_passed(): return 100\n"
    stranger = {"lab3": "numpy|lab3.part", "area": "randon"}[known]
    with pytest.raises(GraderError, match=f"'lab3'.* imports ({stranger}), .* as {known}$"):
        grader.grade(scripted(script), "x = 1")


def test_a_script_imports_files_of_its_suite_and_the_program_under_its_own_name(
    grader: Grader,
) -> None:
    script = (
        "from cs110 import autograder\nimport other_name, tables, math\n"
        "def test_passed(): return tables.POINTS if other_name.f() == 1 else 0\n"
    )
    assignment = scripted(script, tables_py="POINTS = 100\n")
    assert grader.grade(assignment, "def f(): return 1\n").correct


def test_a_script_may_try_to_import_what_is_not_here(grader: Grader) -> None:
    script = (
        "import lab3\nNAME = 'lab3.py'\n"
        "try:\n    import numpy\nexcept ImportError:\n    numpy = None\n"
        "def test_passed(): return lab3.f() if numpy is None else 0\n"
    )
    assert grader.grade(scripted(script), "def f(): return 100\n").correct


def test_a_module_named_at_run_time_is_the_program_run_apart(grader: Grader) -> None:
    script = (
        "import importlib\n"
        "from cs110.autograder import run_script\n"
        "def test_passed():\n"
        "    run_script('lab3.py')\n"
        "    return 100 if importlib.import_module('lab3').double(2) == 4 else 0\n"
    )
    assert grader.grade(scripted(script), "def double(x): return 2 * x\n").correct
    always_equal = "class E:\n def __eq__(s, o): return True\ndef double(x): return E()\n"
    assert grader.grade(scripted(script), always_equal).grade == 0


@pytest.mark.parametrize("value", ['["zz"]', '["d",1]', '["l",' * 600 + "1" + "]" * 600])
def test_a_forged_answer_to_a_script_is_a_verdict(grader: Grader, value: str) -> None:
    script = "import lab3\ndef test_passed(): return 100 if lab3.f() == 1 else 0\n"
    line = f'["case",{value},"",false,"",null]\n'.encode()
    code = (
        f"import os\nfor i in range(3, 30):\n try: os.write(i, {line!r})\n except OSError: pass\n"
    )
    verdict = grader.grade(scripted(script), code + "os._exit(0)\n")
    assert (verdict.grade, verdict.outcome) == (0, "logical")


@pytest.mark.parametrize("score", [0.0, -1.0, float("nan"), float("inf")])
def test_a_full_mark_that_is_none_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="max_score must be a number above 0"):
        TestScript("def test_passed(): return 0", score)


def test_a_program_cannot_speak_for_the_script(grader: Grader) -> None:
    for code in (
        "print('Unit Test Returned: 100')",
        "import __main__\n__main__.test_passed = lambda: 100",
        "import sys\nsys.modules['cs110.autograder'].equals = lambda *a: True",
        "import cs110.autograder\ncs110.autograder.ask = None",
    ):
        assert grader.grade(scripted(ADD), code).grade == 0


@pytest.mark.parametrize(
    "script",
    [
        "def test_passed(:",
        "x = 1 / 0\ndef test_passed(): return 100",
        "import nothing_there.at_all\nraise ValueError",
        "points = 100",
        "def test_passed(): return 'all'",
        "def test_passed(): return float('nan')",
        "def test_passed(): raise SystemExit",
    ],
)
def test_a_broken_script_is_a_grader_error_that_names_the_assignment(
    grader: Grader, script: str
) -> None:
    with pytest.raises(GraderError, match="'lab3'"):
        grader.grade(scripted(script), "x = 1")


def test_a_script_that_stumbles_over_the_programs_output_gives_no_points(grader: Grader) -> None:
    script = (
        "from cs110 import autograder\n"
        "def test_passed():\n"
        "    output, error = autograder.run_script('lab3.py', [1])\n"
        "    return 100 if int(output.split('\\n')[1]) == 2 else 0\n"
    )
    verdict = grader.grade(scripted(script), "print('one line')")
    assert (verdict.grade, verdict.outcome) == (0, "logical")
    assert "could not read what your program gave" in verdict.message


def test_scripts_in_a_batch_never_wait_for_each_other() -> None:
    requests = [(scripted(ADD), RIGHT + "#" * i) for i in range(6)]
    with Grader(workers=2) as grader:
        assert all(verdict.correct for verdict in grader.grade_batch(requests))
