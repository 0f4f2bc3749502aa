"""Verdicts of all kinds, batches, limits, and what a verdict may depend on."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
import time
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite
from novicegym.errors import GraderError
from novicegym.grading.grader import Grader, Limits, shared_grader
from novicegym.grading.judge import clean
from novicegym.grading.verdict import Verdict

DOUBLE = Assignment(
    "double", "", "", TestSuite(cases=(CallCase("f(3)", 6), CallCase("f('a')", "aa")))
)
SUM = Assignment(
    "sum", "", "", TestSuite(cases=(IOCase("3\n4\n", "7\n"), IOCase("1\n1", "2"), IOCase("", "0")))
)
RIGHT = "def f(x):\n    return 2 * x\n"


def calls(*cases: CallCase, **fields: object) -> Assignment:
    return Assignment("calls", "", "", TestSuite(cases=cases, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "grade", "outcome"),
    [
        (RIGHT, 1, "correct"),
        ("\ufeff" + RIGHT.replace("\n", "\r\n"), 1, "correct"),
        ("def f(x):\n    return x + x if x != 3 else 5\n", Fraction(1, 2), "logical"),
        ("def f(x):\n    return 6\n", Fraction(1, 2), "logical"),
        ("def f(x):\n    return x / 2 * 4\n", Fraction(1, 2), "runtime"),
        ("def f(x):\n    print(2 * x)\n", 0, "logical"),
        ("def g(x):\n    return 2 * x\n", 0, "runtime"),
        ("", 0, "runtime"),
        ("def f(x)\n    return 2 * x\n", 0, "compile"),
        ("def f(x):\nreturn 2 * x\n", 0, "compile"),
        ("def f(x):\n\treturn 2 * x\n        pass\n", 0, "compile"),
        ("x = '\0'", 0, "compile"),
        ("x = '\ud800'", 0, "compile"),
        ("(" * 500 + ")" * 500, 0, "compile"),
        ("import sys\nsys.exit()\n", 0, "runtime"),
        ("x = input()\n", 0, "runtime"),
        ("x = [0] * 10 ** 10\n", 0, "memory"),
        ("def f(x):\n    return f(x)\n", 0, "runtime"),
        ("raise KeyboardInterrupt\n", 0, "runtime"),
    ],
)
def test_outcome_and_grade_of_a_function(
    grader: Grader, code: str, grade: Fraction, outcome: str
) -> None:
    verdict = grader.grade(DOUBLE, code)
    assert (verdict.grade, verdict.outcome) == (grade, outcome)
    assert len(verdict.cases) == 2
    assert verdict.case_bits.count("1") == grade * 2


@pytest.mark.parametrize(
    ("code", "bits", "outcome"),
    [
        ("import sys\nprint(sum(map(int, sys.stdin)))\n", "111", "correct"),
        ("a = int(input('first? '))\nprint(a + int(input('second? ')))\n", "110", "runtime"),
        ("print(7)\nexit()\nprint(8)\n", "100", "logical"),
        ("import sys\nprint(0)\nsys.exit('bye')\n", "001", "logical"),
        ("print(0)\n1 / 0\n", "000", "runtime"),
        ("if __name__ == '__main__':\n    print('0 ', end='\\n\\n')\n", "001", "logical"),
        ("import sys\nsys.stdout.buffer.write(b'0')\n", "001", "logical"),
        ("print(0, file=__import__('sys').stderr)\n", "000", "logical"),
        ("while True: print('x' * 1000)\n", "000", "timeout"),
        ("print(0)\nprint('x' * 100000)\n", "000", "logical"),
    ],
)
def test_outcome_and_cases_of_a_program(
    quick_grader: Grader, code: str, bits: str, outcome: str
) -> None:
    verdict = quick_grader.grade(SUM, code)
    assert (verdict.case_bits, verdict.outcome) == (bits, outcome)


def test_a_loop_times_out_and_the_cases_before_it_count(quick_grader: Grader) -> None:
    code = "def f(x):\n    while x == 'a':\n        pass\n    return 2 * x\n"
    verdict = quick_grader.grade(DOUBLE, code)
    assert (verdict.case_bits, verdict.outcome) == ("10", "timeout")
    assert [case.outcome for case in verdict.cases] == ["correct", "timeout"]


def test_a_sleeper_times_out_and_is_not_remembered(quick_grader: Grader) -> None:
    before = len(quick_grader._cache)
    verdict = quick_grader.grade(DOUBLE, "import time\ntime.sleep(60)\n")
    assert verdict.outcome == "timeout"
    assert len(quick_grader._cache) == before


def test_the_gravest_case_names_the_outcome(grader: Grader) -> None:
    assignment = calls(CallCase("f(1)", 2), CallCase("f(0)", 0), CallCase("f(5)", 5))
    assert grader.grade(assignment, "def f(x): return 5 // x\n").outcome == "runtime"


def test_every_case_starts_from_a_fresh_program(grader: Grader) -> None:
    code = (
        "import builtins, os, random\n"
        "seen = []\n"
        "first = random.random()\n"
        "def f(x):\n"
        "    seen.append(x)\n"
        "    files = os.listdir('.')\n"
        "    open('note', 'w').close()\n"
        "    builtins.sorted = None\n"
        "    return [seen, files, first, sorted is None]\n"
    )
    assignment = calls(CallCase("f(1)", 0), CallCase("f(1)", 0))
    one, two = grader.grade(assignment, code).cases
    assert one.actual == two.actual
    assert one.actual.startswith("[[1], [], 0.8444")


def test_every_case_starts_as_python_does(grader: Grader) -> None:
    code = (
        "import os, sys\n"
        "def f(x):\n"
        "    seen = [sys.getrecursionlimit(), sys.argv, sys.orig_argv, os.listdir('.')]\n"
        "    os.mkdir('d')\n"
        "    os.chdir('d')\n"
        "    sys.setrecursionlimit(5000)\n"
        "    if x: raise ValueError\n"
        "    return seen\n"
    )
    expected = [1000, [""], [""], []]
    assignment = calls(CallCase("f(0)", expected), CallCase("f(1)", 0), CallCase("f(0)", expected))
    assert grader.grade(assignment, code).case_bits == "101"


@pytest.mark.parametrize(
    "code",
    [
        "import logging, sys\nlogging.basicConfig(stream=sys.stdout, format='%(message)s')\n"
        "logging.warning(sum(map(int, sys.stdin)))",
        "print(sum(map(int, open(0))))",
        "import os\nprint(sum(map(int, os.read(0, 100).split())))",
        "import sys\nprint(sum(map(int, sys.__stdin__)), file=sys.__stdout__)",
        "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\n"
        "print(sum(map(int, sys.stdin.buffer)))",
        "import os, sys\nos.path.dirname(os.path.abspath(__file__))\n"
        "print(sum(map(int, sys.stdin)) + 0 * len(sys.argv.append('x') or ''))",
        "import os, sys\nprint(sum(map(int, sys.stdin)) if 'X' not in os.environ else 'left')\n"
        "os.environ['X'] = 'y'",
        "import signal, sys\nsignal.alarm(1)\nprint(sum(map(int, sys.stdin)))",
        "import asyncio, sys\nasync def main(): print(sum(map(int, sys.stdin)))\n"
        "asyncio.run(main())",
    ],
)
def test_a_program_may_read_and_print_as_novices_do(grader: Grader, code: str) -> None:
    assert grader.grade(SUM, code).case_bits == "111"


def test_setup_runs_first_and_files_are_there(grader: Grader) -> None:
    assignment = calls(
        CallCase("f(TABLE)", "b,2"), setup="TABLE = 'data.csv'", files=(("data.csv", "a,1\nb,2\n"),)
    )
    code = "def f(name):\n    return open(name).read().split()[-1]\n"
    assert grader.grade(assignment, code).correct


def test_a_forbidden_method_fails_every_case(grader: Grader) -> None:
    assignment = calls(CallCase("f([2, 1])", [1, 2]), forbidden_methods=("sort",))
    verdict = grader.grade(assignment, "def f(x):\n    x.sort()\n    return x\n")
    assert (verdict.grade, verdict.outcome) == (0, "logical")
    assert verdict.message == "line 2: this assignment does not allow .sort(...)"
    assert grader.grade(assignment, "def f(x):\n    return sorted(x)\n").correct


def test_errors_show_the_students_lines_only(grader: Grader) -> None:
    code = "import json\ndef f(x):\n    return g(x)\ndef g(x):\n    return json.loads('{')\n"
    [first, _] = grader.grade(DOUBLE, code).cases
    assert first.error.splitlines()[:4] == [
        "line 3, in f",
        "    return g(x)",
        "line 5, in g",
        "    return json.loads('{')",
    ]
    assert first.error.splitlines()[4].startswith("JSONDecodeError: Expecting property name")
    assert "/" not in first.error


def test_lines_are_counted_as_python_counts_them(grader: Grader) -> None:
    code = "title = 'a\x0cb\u2028c'\r\nprint(title)\r1 / 0\n"
    assert "line 3\n    1 / 0" in grader.grade(SUM, code).cases[0].error


def test_texts_hold_no_addresses_and_no_host_folders(grader: Grader) -> None:
    code = (
        "import os\nprint(object(), os.__file__)\nraise ValueError(str(object()) + os.__file__)\n"
    )
    [case, *_] = grader.grade(SUM, code).cases
    assert case.actual == "<object object at 0x...> os.py\n"
    assert case.error.endswith("ValueError: <object object at 0x...>os.py")


def test_slashes_do_not_hold_the_supervisor_up() -> None:
    start = time.process_time()
    assert clean("/" * 100_000) == "/" * 100_000
    assert clean("/-" * 100_000 + "/novicegym-") == "/-" * 100_000 + "/novicegym-"
    assert time.process_time() - start < 2


def test_a_batch_equals_one_by_one_whatever_the_workers() -> None:
    programs = [RIGHT, "def f(x): return x", "def f(", "print(3)", "1/0"] * 4
    requests = [(a, p + f"# {i % 7}") for i, p in enumerate(programs) for a in (DOUBLE, SUM)]
    counts: list[int] = []
    with Grader(workers=1, cache_size=0) as one, Grader(workers=3) as three:
        singly = [one.grade(assignment, code) for assignment, code in requests]
        assert three.grade_batch(requests, progress=counts.append) == singly
        assert three.grade_batch(list(reversed(requests))) == singly[::-1]
    assert counts == sorted(counts)
    assert counts[-1] == len(requests)


def test_an_empty_batch_is_empty(grader: Grader) -> None:
    assert grader.grade_batch([]) == []


def test_threads_can_share_a_grader(grader: Grader) -> None:
    verdicts: list[Verdict] = []
    threads = [
        threading.Thread(target=lambda i=i: verdicts.append(grader.grade(DOUBLE, RIGHT + "#" * i)))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [verdict.grade for verdict in verdicts] == [1] * 8


def test_an_exception_of_progress_stops_the_batch() -> None:
    def fail(done: int) -> None:
        raise RuntimeError("enough")

    with Grader(workers=2) as grader:
        with pytest.raises(RuntimeError, match="enough"):
            grader.grade_batch([(DOUBLE, RIGHT + "#" * i) for i in range(50)], progress=fail)
        assert grader.grade(DOUBLE, RIGHT).correct


def test_the_cache_holds_no_more_than_its_size() -> None:
    with Grader(workers=1, cache_size=2) as grader:
        for i in range(4):
            grader.grade(DOUBLE, RIGHT + "#" * i)
        assert len(grader._cache) == 2


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters()))
def test_any_text_as_code_gets_a_verdict(code: str) -> None:
    verdict = shared_grader().grade(SUM, code)
    assert 0 <= verdict.grade <= 1
    assert verdict.correct == (verdict.outcome == "correct")
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_a_broken_call_or_setup_is_the_teachers_fault(grader: Grader) -> None:
    with pytest.raises(GraderError, match="'calls': test 1 does not compile"):
        grader.grade(calls(CallCase("f(", 1)), RIGHT)
    with pytest.raises(GraderError, match="'calls': setup does not compile"):
        grader.grade(calls(CallCase("f(1)", 1), setup="def"), RIGHT)


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        ("TABLE = open('missing.csv')", r"FileNotFoundError: .*missing\.csv"),
        ("import sys; sys.exit()", "SystemExit"),
        ("import os; os._exit(0)", "the program ended before it had answered"),
    ],
)
def test_a_setup_that_fails_by_itself_is_the_teachers_fault(setup: str, reason: str) -> None:
    said = f"'calls': its setup fails even before an empty program \\({reason}"
    for limits in (Limits(), Limits(cpu_seconds=0.3)):
        with Grader(workers=1, limits=limits) as grader:
            for _ in range(2):
                with pytest.raises(GraderError, match=said):
                    grader.grade(calls(CallCase("f(1)", 1), setup=setup), RIGHT)


@pytest.mark.parametrize("code", ["raise RuntimeError", "import os; os._exit(1)", "del TABLE"])
def test_a_sound_setup_is_never_blamed_for_a_program(grader: Grader, code: str) -> None:
    reads = "print('table'); TABLE = [input(), input()]"
    for suite in (
        TestSuite(cases=(CallCase("f(TABLE)", 2),), setup="TABLE = 1"),
        TestSuite(cases=(IOCase("1\n2\n", "table\n['1', '2']"),), setup=reads),
    ):
        assignment = Assignment("sound", "", "", suite)
        assert grader.grade(assignment, code).grade == 0
        assert grader.grade(assignment, RIGHT + "print(TABLE)").correct


def test_a_request_that_is_none_is_refused_with_what_is_wanted(grader: Grader) -> None:
    with pytest.raises(TypeError, match="code must be the program's text, got None"):
        grader.grade(DOUBLE, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="assignment must be an Assignment, got None"):
        grader.grade(None, RIGHT)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"must be \(assignment, code\), got 'def f"):
        grader.grade_batch([RIGHT])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"must be \(assignment, code\), got \(1, 2, 3\)"):
        grader.grade_batch([(1, 2, 3)])  # type: ignore[list-item]
    assert grader.grade(DOUBLE, RIGHT).correct


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"workers": 0}, ValueError, "workers must be at least 1, got 0"),
        ({"workers": "2"}, TypeError, "workers must be a whole number, got '2'"),
        ({"cache_size": -1}, ValueError, "cache_size must be at least 0, got -1"),
        ({"limits": {"cpu_seconds": 1}}, TypeError, "limits must be a Limits, got {"),
    ],
)
def test_a_grader_is_made_of_what_it_says(
    fields: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        Grader(**fields)


def test_a_closed_grader_says_so() -> None:
    grader = Grader(workers=1)
    grader.close()
    with pytest.raises(GraderError, match="closed"):
        grader.grade(DOUBLE, RIGHT)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(grader)


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"cpu_seconds": 0}, ValueError, "cpu_seconds must be positive and finite, got 0"),
        ({"cpu_seconds": "1"}, TypeError, "cpu_seconds must be a number of seconds, got '1'"),
        ({"wall_seconds": None}, TypeError, "wall_seconds must be a number of seconds, got None"),
        ({"wall_seconds": float("inf")}, ValueError, "wall_seconds must be .* finite, got inf"),
        ({"cpu_seconds": 0.5, "wall_seconds": 0.25}, ValueError, "got 0.25"),
        ({"memory_mb": 8}, ValueError, "memory_mb must be at least 64, got 8"),
        ({"memory_mb": "x"}, TypeError, "memory_mb must be a whole number, got 'x'"),
        ({"memory_mb": 512.5}, TypeError, "memory_mb must be a whole number, got 512.5"),
        ({"output_bytes": -1}, ValueError, "output_bytes must be at least 1, got -1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    fields: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        Limits(**fields)


def test_output_is_counted_in_characters() -> None:
    program = Assignment("io", "", "", TestSuite(cases=(IOCase("", "\u00e9" * 10),)))
    with Grader(workers=1, limits=Limits(output_bytes=10)) as grader:
        assert grader.grade(program, "print('\u00e9' * 10, end='')").correct
        assert not grader.grade(program, "print('\u00e9' * 10 + ' ')").correct


def test_verdicts_do_not_depend_on_the_hash_seed_of_the_caller() -> None:
    script = (
        "import json\n"
        "from novicegym.courses.model import Assignment\n"
        "from novicegym.courses.suite import CallCase, TestSuite\n"
        "from novicegym.grading.grader import Grader\n"
        "cases = (CallCase('f()', {'x', 'y', 'z'}), CallCase('g()', 0), CallCase('h()', {1: 2}))\n"
        "assignment = Assignment('a', '', '', TestSuite(cases=cases))\n"
        "code = '''import random\n"
        "def f(): return {'x', 'y', 'w', 'v'}\n"
        "def g(): return [hash('a'), random.random(), list({'p', 'q', 'r'}), object()]\n"
        "def h(): return {'b': {'a', 'c'}}\n"
        "'''\n"
        "with Grader(workers=1) as grader:\n"
        "    print(json.dumps(grader.grade(assignment, code).to_json()))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"), ("12345", "UTC"))
    }
    assert len(outputs) == 1


def test_isolation_names_the_layers_in_force(grader: Grader) -> None:
    assert "rlimits" in grader.isolation
    assert "no_new_privs" in grader.isolation
