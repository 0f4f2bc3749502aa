"""JavaScript programs: the same protocol, judge and sandbox, in another language."""

from __future__ import annotations

import math
import socket
import string
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestScript, TestSuite
from novicegym.errors import GraderError
from novicegym.grading.grader import Grader, Limits
from novicegym.grading.javascript.runner import JavaScriptRunner, _find_node
from novicegym.grading.rungs import rung_of
from novicegym.grading.verdict import Verdict

try:
    _find_node()
    NO_NODE = ""
except GraderError as error:
    NO_NODE = str(error)
pytestmark = pytest.mark.skipif(bool(NO_NODE), reason=NO_NODE)

RIGHT = "function f(x) { return x + x; }\n"
ESCAPE = 'const main = console.log.constructor("return process")();\n'
"""Out of the context that the program runs in, into the code that runs it."""


def javascript(*cases: CallCase | IOCase, **fields: Any) -> Assignment:
    suite = TestSuite(cases=cases, **fields)
    return Assignment("js", "", "", suite, language="javascript")


DOUBLE = javascript(CallCase("f(3)", 6), CallCase("f('a')", "aa"))
SUM = javascript(IOCase("3\n4\n", "7\n"), IOCase("1\n1", "2"))


@pytest.fixture(scope="module")
def js() -> Iterator[Grader]:
    with Grader(workers=1, limits=Limits(cpu_seconds=0.6, wall_seconds=5)) as grader:
        yield grader


def give(grader: Grader, *calls: str, code: str = "") -> list[str]:
    """What each call gives, as text, none of them right."""
    cases = [CallCase(call, "no such answer") for call in calls]
    return [case.actual or case.error for case in grader.grade(javascript(*cases), code).cases]


@pytest.mark.parametrize(
    ("code", "grade", "outcome"),
    [
        (RIGHT, 1, "correct"),
        ("\ufeff" + RIGHT.replace("\n", "\r\n"), 1, "correct"),
        ("'use strict';\nconst f = (x) => x + x;", 1, "correct"),
        ("let f = function (x) { return x + x; };\nmodule.exports = { f };", 1, "correct"),
        (
            "var fs = require('fs');\nasync function f(x) { await null; return x + x; }",
            1,
            "correct",
        ),
        ("function f(x) { return 6; }", Fraction(1, 2), "logical"),
        ("function f(x) { return x * 2; }", Fraction(1, 2), "logical"),
        ("function f(x) { console.log(x + x); }", 0, "logical"),
        ("function f(x) { return x.toFixed(0) * 2; }", Fraction(1, 2), "runtime"),
        ("function g(x) { return x + x; }", 0, "runtime"),
        ("", 0, "runtime"),
        ("function f(x) { return f(x); }", 0, "runtime"),
        ("async function f(x) { throw new Error(x); }", 0, "runtime"),
        ("throw 'words';", 0, "runtime"),
        ("process.exit();\n" + RIGHT, 0, "runtime"),
        ("try { process.exit(); } catch {}\n" + RIGHT, 0, "runtime"),
        (ESCAPE + "main.reallyExit(0);", 0, "runtime"),
        (ESCAPE + "main.kill(main.pid, 'SIGSEGV');", 0, "runtime"),
        ("function f(x) return x + x;", 0, "compile"),
        ("let a = 1;\nlet a = 2;", 0, "compile"),
        ("def f(x):\n    return x + x\n", 0, "compile"),
        ("import fs from 'fs';", 0, "compile"),
        ("while (true);", 0, "timeout"),
    ],
)
def test_outcome_and_grade_of_a_function(
    js: Grader, code: str, grade: Fraction, outcome: str
) -> None:
    verdict = js.grade(DOUBLE, code)
    assert (verdict.grade, verdict.outcome) == (grade, outcome)
    assert js.grade(DOUBLE, f"{RIGHT}// after {code!r}").correct


@pytest.mark.parametrize(
    "code",
    [
        "const [a, b] = require('fs').readFileSync(0, 'utf8').trim().split('\\n').map(Number);\n"
        "console.log(a + b);",
        "const lines = require('node:fs').readFileSync('/dev/stdin').toString().split('\\n');\n"
        "process.stdout.write(Number(lines[0]) + Number(lines[1]) + '\\n');",
        "const bytes = Buffer.alloc(99);\nconst size = require('fs').readSync(0, bytes);\n"
        "const [a, b] = bytes.toString('utf8', 0, size).split('\\n');\n"
        "require('fs').writeSync(1, `${+a + +b}\\n`);",
        "console.log(Number(prompt('first? ')) + Number(prompt('second? ')));",
        "const ask = require('prompt-sync')();\nconsole.log(+ask('? ') + +ask('? '), ask() ?? '');",
        "const rl = require('readline').createInterface({ input: process.stdin,\n"
        "  output: process.stdout });\n"
        "rl.question('a? ', (a) => rl.question('b? ', (b) => {\n"
        "  console.log(+a + +b);\n  rl.close();\n}));",
        "const rl = require('readline').createInterface(process.stdin, process.stdout);\n"
        "let sum = 0;\nrl.setPrompt('> ');\nrl.prompt();\n"
        "rl.on('line', (line) => { sum += Number(line); rl.prompt(); });\n"
        "rl.on('close', () => console.log(sum));",
        "const { stdin: input, stdout: output } = process;\n"
        "const rl = require('readline/promises').createInterface({ input, output });\n"
        "(async () => {\n  const a = await rl.question('a? ');\n"
        "  const b = await rl.question('b? ');\n  console.log(+a + +b);\n  rl.close();\n})();",
        "(async () => {\n  let sum = 0;\n"
        "  const rl = require('readline').createInterface({ input: process.stdin });\n"
        "  for await (const line of rl) sum += Number(line);\n  console.log(sum);\n})();",
        "let text = '';\nprocess.stdin.setEncoding('utf8');\n"
        "process.stdin.on('data', (part) => { text += part; });\n"
        "process.stdin.on('end', () => {\n"
        "  console.log(text.trim().split('\\n').reduce((a, b) => +a + +b));\n});",
        "const sleep = require('util').promisify(setTimeout);\n"
        "const all = Number(prompt()) + Number(prompt());\nlet rounds = 0;\n"
        "clearTimeout(undefined); clearTimeout(7);\n"
        "const timer = setInterval(() => { if (++rounds === 3) clearInterval(timer); }, 1e6);\n"
        "setTimeout(() => console.log(all), 1e9);\n"
        "sleep(5e8).then(() => { if (rounds !== 3) console.log('too late'); });",
        "const fs = require('fs');\nfs.writeFileSync('note', prompt());\n"
        "fs.readFile('note', 'utf8', (error, text) => {\n"
        "  fs.promises.readFile('note').then((again) => console.log(+text + +prompt()));\n});",
    ],
)
def test_stdin_is_read_in_all_the_ways_that_novices_know(js: Grader, code: str) -> None:
    verdict = js.grade(SUM, code)
    assert verdict.correct, verdict.cases


@pytest.mark.parametrize(
    ("code", "bits", "outcome"),
    [
        ("console.log(7); process.exit(1); console.log(8);", "100", "logical"),
        ("try { console.log(2); process.exit(); } catch {} console.log(8);", "010", "logical"),
        ("console.error(7);", "000", "logical"),
        ("console.log(7); null.x;", "000", "runtime"),
        ("console.log(7); setTimeout(() => { throw new Error('late'); }, 5);", "000", "runtime"),
        ("console.log(7); Promise.reject(new Error('lost'));", "000", "runtime"),
        ("new Promise(() => {}).then(() => console.log(7));", "000", "logical"),
        ("console.log(7); setInterval(() => {}, 1000);", "000", "timeout"),
        ("console.log('%d', 7); console.group(); console.groupEnd();", "100", "logical"),
        ("console.log([1, [2]], { a: new Map([[1, 'x']]) }, undefined, -0);", "001", "logical"),
        ("console.log(2); console.log('x'.repeat(100000));", "000", "logical"),
        ("while (true) console.log('x'.repeat(1000));", "000", "timeout"),
    ],
)
def test_outcome_and_cases_of_a_program(js: Grader, code: str, bits: str, outcome: str) -> None:
    printed = "[ 1, [ 2 ] ] { a: Map(1) { 1 => 'x' } } undefined -0"
    assignment = javascript(IOCase("", "7"), IOCase("", "2\n"), IOCase("", printed))
    verdict = js.grade(assignment, code)
    assert (verdict.case_bits, verdict.outcome) == (bits, outcome)


def test_a_loop_times_out_and_the_cases_before_it_count(js: Grader) -> None:
    verdict = js.grade(DOUBLE, "function f(x) { while (x === 'a'); return x + x; }")
    assert [case.outcome for case in verdict.cases] == ["correct", "timeout"]


@pytest.mark.parametrize(
    "code",
    [
        "const all = [];\nwhile (true) all.push(new Array(10000).fill(1.5));",
        "const all = [];\nwhile (true) all.push(Buffer.alloc(5e6, 1));",
        "const all = [];\nwhile (true) all.push(new Float64Array(1e6).fill(1));",
    ],
)
def test_a_program_that_takes_all_memory_says_so(code: str) -> None:
    with Grader(workers=1, limits=Limits(cpu_seconds=5, memory_mb=192)) as grader:
        assert grader.grade(DOUBLE, code).outcome == "memory"
        assert grader.grade(DOUBLE, RIGHT).correct


def test_memory_too_small_for_node_is_an_error() -> None:
    with (
        Grader(workers=1, limits=Limits(memory_mb=100)) as grader,
        pytest.raises(GraderError, match="at least 128 to start node, got 100"),
    ):
        grader.grade(DOUBLE, RIGHT)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(1 - 2**53, 2**53 - 1),
    st.floats(),
    st.text(st.characters(codec=None)),
)
VALUES = st.recursive(
    SCALARS | st.sets(SCALARS, max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab_1é\ud800"), inner),
    max_leaves=10,
)


@settings(max_examples=15, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=30))
def test_any_plain_value_comes_back_as_it_was_written(js: Grader, values: list[Any]) -> None:
    cases = [CallCase(JavaScriptRunner.show(value), value) for value in values]
    verdict = js.grade(javascript(*cases), "")
    assert verdict.correct, [case for case in verdict.cases if not case.passed]


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("undefined", None),
        ("-0", -0.0),
        ("0.1 + 0.2", 0.30000000000000004),
        ("1e21", 1e21),
        ("2 ** 60", 2**60),
        ("2n ** 100n", 2**100),
        ("-(2n ** 63n) - 1n", -(2**63) - 1),
        ("7n", 7),
        ("[1, , undefined]", [1, None, None]),
        ("{ a: 1, [Symbol()]: 2, 3: [4] }", {"3": [4], "a": 1}),
        ("Object.create(null)", {}),
        ("new Map([['a', 1], [2, [3]]])", {"a": 1, 2: [3]}),
        ("new Set([3, 'x', null])", {3, "x", None}),
        ("class_", [1, 2]),
        ("Promise.resolve([1])", [1]),
        ("JSON.parse('[{\"a\":null}]')", [{"a": None}]),
        ("structuredClone({ a: [1] })", {"a": [1]}),
        ("'\\ud800' + '\\ude00'.at(0) + 'é'", "\U00010200é"),
    ],
)
def test_a_value_equals_its_python_counterpart(js: Grader, call: str, value: Any) -> None:
    code = "class Row extends Array {}\nconst class_ = Row.of(1, 2);"
    verdict = js.grade(javascript(CallCase(call, value)), code)
    assert verdict.correct, verdict.cases[0].actual


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("new Date(0)", "<Date>"),
        ("/x/", "<RegExp>"),
        ("() => 1", "<function>"),
        ("Symbol('x')", "<symbol>"),
        ("new Proxy([1], { get: () => 6 })", "<Proxy>"),
        ("new Point(1)", "<Point>"),
        ("new Uint8Array(2)", "<Uint8Array>"),
        ("{ get a() { return 6; } }", '{"a": <accessor>}'),
        ("(function () { return arguments; })(1)", "<Object>"),
        ("new Set([[1]])", "new Set([<Array>])"),
        ("new Set([1, true])", "<Set>"),
        ("new Map([[1, 'a'], [1n, 'b']])", "<Map>"),
        ("new Promise(() => {})", "<Promise>"),
        ("'x'.repeat(2e6)", "<too large>"),
        ("new Array(4e9)", "<too large>"),
        ("1n << 30000000n", "<too large>"),
        ("(() => { const a = []; a.push(a, a); return a; })()", "<too large>"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e-7", "1e-7"),
        ("1.5e300", "1.5e+300"),
        ("123456789.125", "123456789.125"),
        ("'a\"\\n\\ud800'", r'"a\"\n\ud800"'),
        ("[true, null, { b: 'x' }]", '[true, null, {"b": "x"}]'),
        ("new Map([[1, 'a']])", 'new Map([[1, "a"]])'),
    ],
)
def test_a_value_is_shown_as_javascript_writes_it(js: Grader, call: str, shown: str) -> None:
    assert give(js, call, code="class Point { constructor(x) { this.x = x; } }") == [shown]


def test_depth_beyond_a_hundred_is_opaque(js: Grader) -> None:
    nest = "function nest(n) { let a = 1; while (n--) a = [a]; return a; }"
    assert give(js, "nest(101)", code=nest) == ["[" * 100 + "<too deep>" + "]" * 100]


def test_every_case_starts_from_a_fresh_program(js: Grader) -> None:
    code = (
        "const fs = require('fs');\nconst seen = [];\nconst first = Math.random();\n"
        "const odd = [typeof left, [].odd, String(console.odd), fs.odd, process.odd];\n"
        "globalThis.left = 1; Array.prototype.odd = 2; console.odd = fs.odd = process.odd = 3;\n"
        "setTimeout(() => { seen.push('late'); }); Promise.resolve().then(() => { throw 1; });\n"
        "function f(x) {\n  seen.push(x);\n  const files = fs.readdirSync('.');\n"
        "  fs.mkdirSync('d/e', { recursive: true });\n  process.cwd();\n"
        "  return [seen, files, odd, first];\n}\n"
    )
    one, two = give(js, "f(1)", "f(1)", code=code)
    assert one == two
    assert one.startswith('[[1], [], ["undefined", null, "undefined", null, null], 0.')


def test_setup_runs_first_and_files_are_there(js: Grader) -> None:
    assignment = javascript(
        CallCase("f(TABLE)", "b,2"),
        setup="const TABLE = 'data.csv';",
        files=(("data.csv", "a,1\nb,2\n"),),
    )
    code = (
        "const f = (name) => require('fs').readFileSync(name, 'utf8').trim().split('\\n').at(-1);"
    )
    assert js.grade(assignment, code).correct


def test_a_setup_that_fails_by_itself_is_the_teachers_fault(js: Grader) -> None:
    for case in (CallCase("f(1)", 1), IOCase("", "")):
        with pytest.raises(GraderError, match=r"'js': its setup fails .*ReferenceError: TABLE"):
            js.grade(javascript(case, setup="TABLE.size;"), RIGHT)


def test_nothing_is_null_and_names_are_seen_beside_exports(js: Grader) -> None:
    code = "function f() {}\nmodule.exports = { g: () => null };\n"
    cases = [CallCase("f()", None), CallCase("module.exports.g()", None), CallCase("g()", None)]
    verdict = js.grade(javascript(*cases), code)
    assert verdict.case_bits == "110"
    assert verdict.cases[2].error == "ReferenceError: g is not defined"


def test_errors_show_the_students_lines_only(js: Grader) -> None:
    code = (
        "function f(x) {\n  return [x].map(g);\n}\nfunction g(y) {\n  return JSON.parse('{');\n}\n"
    )
    error = js.grade(DOUBLE, code).cases[0].error
    assert error.splitlines()[:4] == [
        "line 2, in f",
        "    return [x].map(g);",
        "line 5, in g",
        "    return JSON.parse('{');",
    ]
    assert error.splitlines()[4].startswith("SyntaxError: ")
    assert "/" not in error


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("class Bad extends Error {}\nthrow new Bad('hm');", "throw new Bad('hm');\nBad: hm"),
        ("throw { a: 1 };", "Uncaught { a: 1 }"),
        ("throw null;", "Uncaught null"),
        ("throw new Proxy({}, { get() { throw 1; } });", "Uncaught {}"),
        ("const e = new Error(); Object.defineProperty(e, 'message', { get() { throw 1; } });\n"
         "throw e;", "Error: <no message>"),
        ("require('left-pad');", "Cannot find module 'left-pad'"),
        ("function f() { f(); }\nf();", "RangeError: Maximum call stack size exceeded"),
        ("const console = 1;\nconst TABLE = 1;", "'TABLE' has already been declared"),
    ],
)  # fmt: skip
def test_what_an_error_says(js: Grader, code: str, error: str) -> None:
    assignment = javascript(CallCase("1", 1), setup="const TABLE = 2;")
    assert error in js.grade(assignment, code).cases[0].error


def test_a_syntax_error_shows_its_place(js: Grader) -> None:
    verdict = js.grade(DOUBLE, "let a = 1;\n  if (a = ) {\n  }\n")
    assert verdict.message.splitlines() == [
        "line 2",
        "    if (a = ) {",
        "            ^",
        "SyntaxError: Unexpected token ')'",
    ]


def test_a_printed_error_shows_nothing_of_the_grader(js: Grader) -> None:
    code = "function f() {\n  return new TypeError('odd');\n}\nconsole.log(f());\n"
    [case, _] = js.grade(SUM, code).cases
    assert case.actual.splitlines() == [
        "TypeError: odd",
        "    at f (<program>:2:10)",
        "    at <program>:4:13",
    ]


def test_a_broken_suite_is_the_teachers_fault(js: Grader) -> None:
    with pytest.raises(GraderError, match="'js': test 2 does not compile: 'f\\(': SyntaxError"):
        js.grade(javascript(CallCase("f(1)", 1), CallCase("f(", 1)), RIGHT)
    with pytest.raises(GraderError, match="test 1 does not compile"):
        js.grade(javascript(CallCase("f(1); g()", 1)), RIGHT)
    with pytest.raises(GraderError, match="setup does not compile"):
        js.grade(javascript(CallCase("f(1)", 1), setup="let ="), RIGHT)
    with pytest.raises(GraderError, match="for Python programs alone, got \\['sort'\\]"):
        js.grade(javascript(CallCase("f(1)", 1), forbidden_methods=("sort",)), RIGHT)
    script = TestSuite(script=TestScript("def test_passed(): return 100"))
    with pytest.raises(GraderError, match="cannot be graded by a test script"):
        js.grade(Assignment("js", "", "", script, language="javascript"), RIGHT)


def test_a_suite_may_serve_two_languages(js: Grader) -> None:
    python = replace(DOUBLE, language="python")
    for _ in range(2):
        assert js.grade(DOUBLE, RIGHT).correct
        assert js.grade(python, "def f(x): return x + x\n").correct


def test_without_node_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with Grader(workers=1) as grader:
        with pytest.raises(GraderError, match=r"install it from nodejs.org .* Python do without"):
            grader.grade(DOUBLE, RIGHT)
        python = Assignment("python", "", "", TestSuite(cases=(CallCase("f(3)", 6),)))
        assert grader.grade(python, "def f(x): return x + x").correct


def test_an_old_node_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.19.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with Grader(workers=1) as grader, pytest.raises(GraderError, match=r"or newer, .*'v18\.19\.1'"):
        grader.grade(DOUBLE, RIGHT)


def test_a_batch_equals_one_by_one_whatever_the_workers() -> None:
    programs = [RIGHT, "const f = (x) => x;", "function f(", "console.log(7);", "null.x", ESCAPE]
    requests = [(a, p) for p in programs for a in (DOUBLE, SUM)]
    limits = Limits(cpu_seconds=2)
    with Grader(workers=1, limits=limits, twice=True) as one, Grader(limits=limits) as more:
        singly = [one.grade(assignment, code) for assignment, code in requests]
        assert all(verdict.stable for verdict in singly)
        assert more.grade_batch(requests) == singly
        assert more.grade_batch(list(reversed(requests))) == singly[::-1]


def test_programs_run_on_the_rung_of_python_programs(js: Grader) -> None:
    js.grade(DOUBLE, RIGHT)
    layers = js._runner("javascript").layers
    assert (rung_of(layers), set(layers)) == (js.rung, set(js.isolation))


def test_without_limits_given_a_program_gets_a_second(js: Grader) -> None:
    busy = "const end = Date.now() + 400;\nwhile (Date.now() < end);\n"
    with Grader(workers=1) as grader:
        assert grader.grade(DOUBLE, busy.replace("400", "0") + RIGHT).correct
        assert grader.grade(DOUBLE, "while (true);").outcome == "timeout"


@pytest.mark.parametrize(
    "read",
    [
        "require('fs').readFileSync('/etc/passwd')",
        "console.log.constructor('return require')()('fs').readFileSync('/etc/passwd')",
        "require('child_process').execFileSync('/bin/sh', ['-c', 'cat /etc/passwd'])",
        "require('child_process').execSync('/lib64/ld-linux-x86-64.so.2 /bin/cat /etc/passwd')",
    ],
)
def test_files_outside_stay_out_of_reach(js: Grader, read: str) -> None:
    code = f"function f(x) {{ return String({read}); }}"
    verdict = js.grade(DOUBLE, code)
    assert (verdict.grade, verdict.outcome) == (0, "runtime")
    assert js.grade(DOUBLE, f"{RIGHT}// after {read}").correct
    with Grader(workers=1, require="not-a-sandbox", layers=frozenset()) as unsafe:
        assert "root:" in unsafe.grade(DOUBLE, code).cases[0].actual  # nothing but layers stops it


def test_no_program_gets_out(js: Grader, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        code = (
            f"{ESCAPE}const path = {str(tmp_path / 'note')!r};\nconst tries = [\n"
            "  () => require('fs').writeFileSync(path, 'x'),\n"
            "  () => require('child_process').execSync(`touch ${path}`),\n"
            f"  () => require('net').connect({port}, '127.0.0.1').on('error', () => {{}}),\n"
            "  () => main.kill(main.ppid, 'SIGKILL'),\n"
            "  () => main.kill(1, 'SIGKILL'),\n"
            "  () => main.kill(-1, 'SIGTERM'),\n"
            "  () => main.kill(main.ppid, 'SIGINT'),\n"
            "  () => main.setuid(0),\n"
            "  () => main.chdir('/tmp'),\n];\n"
            "for (const attempt of tries) { try { attempt(); } catch {} }\n"
        )
        whole = "setTimeout(() => console.log(Number(prompt()) + Number(prompt())), 100);"
        js.grade(SUM, code + whole)
        js.grade(DOUBLE, code + RIGHT)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert list(tmp_path.iterdir()) == []
    assert js.grade(DOUBLE, RIGHT + "// after a break-out").correct


def test_a_program_of_its_own_does_not_outlive_it(js: Grader) -> None:
    js.grade(DOUBLE, RIGHT)
    before = descendants("self")
    code = (
        ESCAPE
        + "require('child_process').spawn(main.execPath, ['-e', 'setTimeout(() => {}, 9e4)'],"
        " { detached: true, stdio: 'ignore' });\n"
        "new (require('worker_threads').Worker)('setTimeout(() => {}, 9e4)', { eval: true });\n"
    )
    js.grade(DOUBLE, code + RIGHT)
    assert descendants("self") == before
    assert js.grade(DOUBLE, RIGHT + "// after a daemon").correct


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ('["case",7,"",false,"",null]', "logical"),
        ('["case",true,"",false,"",null]', "logical"),
        ('["correct",1]', "runtime"),
        ('["end"]', "runtime"),
        ('["check",null]', "runtime"),
        ('["case",["zz"],"",false,"",null]', "refused"),
        ("[[[[", "refused"),
        (" " * 100_000 + "x", "refused"),
    ],
)
def test_forged_lines_earn_nothing(js: Grader, line: str, outcome: str) -> None:
    code = (
        f"{ESCAPE}const {{ writeSync }} = require('fs');\nfor (let fd = 3; fd < 40; fd++) {{\n"
        f"  try {{ for (let i = 0; i < 3; i++) writeSync(fd, {line!r} + '\\n'); }} catch {{}}\n}}\n"
        "main.reallyExit(0);"
    )
    verdict = js.grade(DOUBLE, code)
    assert (verdict.grade, verdict.outcome) == (0, outcome)
    assert js.grade(DOUBLE, f"{RIGHT}// after {line[:50]}").correct


def test_a_patched_driver_speaks_for_its_own_program_only(js: Grader) -> None:
    code = (
        f"{ESCAPE}const realm = console.log.constructor('return globalThis')();\n"
        "realm.JSON.stringify = () => '6'; realm.Array.isArray = () => true;\n"
        "realm.Object.getPrototypeOf = realm.Object.keys = realm.setImmediate = null;\n"
        "realm.Array.prototype.push = realm.String.prototype.replace = () => 'x';\n"
    )
    js.grade(DOUBLE, code)
    js.grade(DOUBLE, code + RIGHT)
    assert js.grade(DOUBLE, RIGHT + "// after a patch").correct
    assert not js.grade(DOUBLE, "const f = (x) => x;// after a patch").correct


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(codec=None)) | st.text(string.punctuation + "ab1 \n"))
def test_any_text_as_code_gets_a_verdict(js: Grader, code: str) -> None:
    verdict = js.grade(SUM, code)
    assert 0 <= verdict.grade <= 1
    assert Verdict.from_json(verdict.to_json()) == verdict


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_shown_without_loss(number: float) -> None:
    shown = JavaScriptRunner.show(number)
    assert float(shown) == number
    assert math.copysign(1, float(shown)) == math.copysign(1, number)


def descendants(pid: str) -> list[str]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [child, *descendants(child)]
    return sorted(found)
