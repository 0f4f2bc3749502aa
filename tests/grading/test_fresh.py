"""The worker of systems without zygotes: the same verdicts, and nothing left behind.

It runs on Linux here, where the sandbox to compare it with is.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestScript, TestSuite
from novicegym.errors import GraderError
from novicegym.grading.fresh import FreshWorker
from novicegym.grading.grader import Grader, Limits
from novicegym.grading.javascript.runner import _find_node

try:
    _find_node()
    NO_NODE = ""
except GraderError as error:
    NO_NODE = str(error)

LIMITS = Limits(cpu_seconds=0.6, wall_seconds=2)
DOUBLE = Assignment("double", "", "", TestSuite(cases=(CallCase("f(3)", 6), CallCase("f(5)", 10))))
SUM = Assignment("sum", "", "", TestSuite(cases=(IOCase("3\n4\n", "7\n"), IOCase("1\n1", "2"))))
RIGHT = "def f(x): return 2 * x\n"
SCRIPT = """
from cs110 import autograder
import lab3
def test_passed():
    points = 0
    for number in (3, 5):
        output, error = autograder.run_script("lab3.py", [number], False)
        points += 25 * autograder.equals(output, 2 * number)
        points += 25 * (lab3.f(number) == 2 * number)
        print(error)
    return points
"""


@pytest.fixture(scope="module")
def fresh() -> Iterator[Grader]:
    with Grader(workers=2, limits=LIMITS, require="not-a-sandbox") as grader:
        yield grader


@pytest.fixture(scope="module")
def boxed() -> Iterator[Grader]:
    with Grader(workers=1, limits=LIMITS) as grader:
        for assignment in (DOUBLE, scripted(SCRIPT), *([] if NO_NODE else [in_javascript(DOUBLE)])):
            grader.grade(assignment, RIGHT)  # its zygotes start here
        yield grader


@pytest.fixture(autouse=True)
def no_zygotes(boxed: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts in a test starts as it would on a system without zygotes."""
    monkeypatch.setattr("novicegym.grading.start.HAS_ZYGOTES", False)


def scripted(source: str) -> Assignment:
    return Assignment("lab3", "", "", TestSuite(script=TestScript(source)))


def in_javascript(assignment: Assignment) -> Assignment:
    return replace(assignment, language="javascript")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where programs find their folders during one test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("assignment", "code"),
    [
        (DOUBLE, RIGHT),
        (DOUBLE, "def f(x): return x + 3\n"),
        (DOUBLE, "def f(x): return 6 // (x - 3)\n"),
        (DOUBLE, "def f(x)\n    return 2 * x\n"),
        (DOUBLE, "import sys\nsys.exit()\n"),
        (DOUBLE, "import os\nos._exit(0)\n"),
        (DOUBLE, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"),
        (DOUBLE, "import ctypes\nctypes.string_at(0)\n"),
        (DOUBLE, "x = [0] * 10 ** 10\n"),
        (DOUBLE, "def f(x):\n    while x == 5: pass\n    return 2 * x\n"),
        (DOUBLE, "import time\ntime.sleep(60)\n"),
        (DOUBLE, "def f(x): return 'x' * 50_000_000\n"),
        (DOUBLE, "import os\nfor i in range(3, 30):\n try: os.write(i, b'[[\\n')\n"
                 " except OSError: pass\n" + RIGHT),
        (DOUBLE, "import os\nprint(os.listdir('.'), sorted(os.environ), os.getcwd()[:0])\n"
                 "open('note', 'w').write('x')\nos.mkdir('d')\n" + RIGHT),
        (DOUBLE, "import sys\ndef f(x): return [sys.argv, sys.stdin.read(), __name__]\n"),
        (DOUBLE, f"# {'long ' * 100_000}\n{RIGHT}"),
        (SUM, "import sys\nprint(sum(map(int, sys.stdin)))\n"),
        (SUM, "import random\nprint(random.random())\n"),
        (SUM, "while True: print('x' * 1000)\n"),
        (SUM, "print(7)\nprint(input('? '), input(), input())\n"),
        (SUM, "import os\nos.write(1, b'7')\nos.write(2, b'7')\nprint(os.read(0, 9))\n"),
    ],
)  # fmt: skip
def test_a_verdict_is_that_of_the_sandbox(
    fresh: Grader, boxed: Grader, assignment: Assignment, code: str
) -> None:
    verdict = fresh.grade(assignment, code)
    assert verdict == boxed.grade(assignment, code)
    assert fresh.grade(DOUBLE, RIGHT + "# again").correct


def test_endless_recursion_is_a_runtime_error(fresh: Grader) -> None:
    verdict = fresh.grade(DOUBLE, "def f(x): return f(x)\n")
    assert (verdict.grade, verdict.outcome) == (0, "runtime")
    assert "RecursionError: maximum recursion depth exceeded" in verdict.cases[0].error


@pytest.mark.parametrize(
    ("code", "grade", "outcome"),
    [
        (f"{RIGHT}import sys\nfor line in sys.stdin: print(f(int(line)))\n", 1, "correct"),
        (f"{RIGHT}import sys\nfor line in sys.stdin: print(f(line))\n", Fraction(1, 2), "logical"),
        (f"{RIGHT}print(f(input()))\n", 0, "runtime"),
        ("def f(x):\n", 0, "compile"),
        ("while True: pass\n", 0, "timeout"),
    ],
)
def test_scripts_grade_as_in_the_sandbox(
    fresh: Grader, boxed: Grader, code: str, grade: Fraction, outcome: str
) -> None:
    verdict = fresh.grade(scripted(SCRIPT), code)
    assert (verdict.grade, verdict.outcome) == (grade, outcome)
    assert verdict == boxed.grade(scripted(SCRIPT), code)


@pytest.mark.skipif(bool(NO_NODE), reason=NO_NODE)
@pytest.mark.parametrize(
    "code",
    [
        "const f = (x) => 2 * x;",
        "console.log(7);\nrequire('fs').writeSync(1, '[[[[');\nconst f = (x) => 6;",
        "function f(x) {\n  return x.y.z;\n}",
        "function f(x) return 2 * x;",
        "while (true);",
        "new Promise((go) => setTimeout(go, 1e6)).then(() => console.log(+prompt() + +prompt()));",
    ],
)
def test_javascript_grades_as_in_the_sandbox(fresh: Grader, boxed: Grader, code: str) -> None:
    for assignment in (in_javascript(DOUBLE), in_javascript(SUM)):
        assert fresh.grade(assignment, code) == boxed.grade(assignment, code)


@pytest.mark.skipif(bool(NO_NODE), reason=NO_NODE)
def test_javascript_that_takes_all_memory_is_stopped() -> None:
    code = "const all = [];\nwhile (true) all.push(new Float64Array(1e6).fill(1));"
    limits = Limits(cpu_seconds=5, memory_mb=192)
    with Grader(workers=1, limits=limits, require="not-a-sandbox") as grader:
        assert grader.grade(in_javascript(DOUBLE), code).outcome == "memory"


def test_a_batch_equals_one_by_one(fresh: Grader, boxed: Grader) -> None:
    programs = [RIGHT, "def f(x): return x", "def f(", "print(3)", "1/0"]
    requests = [(a, f"{p}# {i}") for i, p in enumerate(programs * 3) for a in (DOUBLE, SUM)]
    assert fresh.grade_batch(requests) == boxed.grade_batch(requests)


def test_it_is_labelled_and_refused_where_not_asked_for(
    fresh: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (fresh.rung, fresh.isolation) == ("not-a-sandbox", ())
    monkeypatch.delenv("NOVICEGYM_SANDBOX", raising=False)
    with (
        Grader(workers=1) as grader,
        pytest.raises(GraderError, match=r"'not-a-sandbox'.*NOVICEGYM_SANDBOX=not-a-sandbox"),
    ):
        grader.grade(DOUBLE, RIGHT)
    monkeypatch.setenv("NOVICEGYM_SANDBOX", "not-a-sandbox")
    with Grader(workers=1) as grader:
        assert grader.grade(DOUBLE, RIGHT).correct


@pytest.mark.parametrize(
    "code",
    [
        "import os, time\nif os.fork() == 0: time.sleep(99)\n",
        "import os\nif os.fork() == 0:\n while True:\n  for i in range(3, 9):\n"
        "   try: os.write(i, b' ')\n   except OSError: pass\n",
        "import subprocess\nsubprocess.Popen(['sleep', '99'], close_fds=False)\n",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n",
        "import os\nfor i in range(40):\n os.mkdir('d' * 250)\n os.chdir('d' * 250)\n",
        "import os\nfor i in range(1500):\n os.mkdir('d')\n os.chdir('d')\nopen('x', 'w')\n",
        "import os\nos.makedirs('d/e/f')\nopen('d/e/x', 'w').close()\nos.chmod('d/e', 0o0)\n"
        "os.chmod('d', 0o0)\n",
        "import os\nos.mkfifo('p')\nos.symlink('/nowhere', 'l')\n",
    ],
)
def test_nothing_of_a_program_is_left(folder: Path, fresh: Grader, code: str) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    verdict = fresh.grade(DOUBLE, code + RIGHT)
    assert verdict.cases[0].passed  # the second finds the folders too deep for the child to remove
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert at_work_in(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(60)\n",
        "while True: pass\n",
        "import os\nos.closerange(0, 100)\nwhile True: pass\n",
        "import signal\nfor s in range(1, 65):\n"
        " try: signal.signal(s, signal.SIG_IGN)\n except Exception: pass\nwhile True: pass\n",
        "import os\nfor i in range(9):\n if os.fork() == 0:\n  while True: pass\n"
        "while True: pass\n",
        "import os\nwhile True:\n for i in range(3, 9):\n"
        "  try: os.write(i, b'x' * 10000)\n  except OSError: pass\n",
    ],
)
def test_a_program_stopped_at_a_limit_leaves_nothing(
    folder: Path, fresh: Grader, code: str
) -> None:
    verdict = fresh.grade(DOUBLE, code)
    assert verdict.grade == 0
    assert verdict.outcome == ("refused" if "10000" in code else "timeout")
    assert at_work_in(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("writes", [False, True])
def test_a_daemon_that_holds_the_pipe_does_not_hold_up_the_verdict(
    folder: Path, fresh: Grader, writes: bool
) -> None:
    code = (
        "import os, time\nif os.fork() == 0:\n os.setsid()\n while True:\n  time.sleep(0.01)\n"
        f"  for i in range(3, 9):\n   try: {writes} and os.write(i, b' ')\n"
        "   except OSError: pass\n"
    )
    start = time.monotonic()
    verdict = fresh.grade(DOUBLE, code + RIGHT)
    assert time.monotonic() - start < 10
    assert verdict.correct or writes
    for pid in at_work_in(folder):  # out of its group, it is out of reach
        os.kill(pid, signal.SIGKILL)


def test_links_are_removed_and_not_followed(folder: Path, fresh: Grader, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o750)
    (kept / "note").write_text("x")
    code = f"import os\nos.mkdir('d')\nfor n in ('l', 'd/l'): os.symlink({str(kept)!r}, n)\n"
    assert fresh.grade(DOUBLE, code.replace("os.symlink", "os.path.lexists(n) or os.symlink")
                       + RIGHT).correct  # fmt: skip
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert (kept.stat().st_mode & 0o777, (kept / "note").read_text()) == (0o750, "x")


@pytest.mark.parametrize("code", ["print(1)\n", "import os, time\nos.fork()\ntime.sleep(99)\n"])
def test_an_interrupted_run_leaves_nothing(folder: Path, code: str) -> None:
    def interrupt(said: bytes) -> bytes:
        raise KeyboardInterrupt

    request = marshal.dumps(("program", code, None, (), (), (("io", ""),), 1000, 1000))
    # The sleeper says nothing before its time is up: then it is the end that is checked.
    with pytest.raises(KeyboardInterrupt) if "print" in code else contextlib.nullcontext():
        assert FreshWorker(LIMITS).run(request, 0.6, 1, interrupt).end == "wall"
    assert at_work_in(folder) == []
    assert list(folder.iterdir()) == []


def test_an_interpreter_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with (
        Grader(workers=1, require="not-a-sandbox") as grader,
        pytest.raises(GraderError, match=r"cannot run any program: .*/nowhere/python"),
    ):
        grader.grade(DOUBLE, RIGHT)


def test_no_module_of_grading_needs_posix_to_be_imported() -> None:
    """Names that Windows lacks are looked up when they are needed, and not before."""
    script = (
        "import os, select, signal, socket, subprocess, sys, tempfile, shutil, typing, asyncio\n"
        "import concurrent.futures, sqlite3, multiprocessing, multiprocessing.connection\n"
        "for name in ('resource', 'fcntl', 'pwd', 'grp', 'posix', 'termios', 'ctypes.util'):\n"
        "    sys.modules[name] = None\n"
        "for module, names in ((os, 'fork register_at_fork killpg wait4 WNOHANG setsid geteuid'),\n"
        "    (select, 'poll epoll POLLIN'), (socket, 'AF_UNIX send_fds socketpair'),\n"
        "    (signal, 'SIGKILL SIGPROF SIGXCPU SIGCHLD setitimer pthread_sigmask')):\n"
        "    for name in names.split(): delattr(module, name)\n"
        "import novicegym.grading.grader, novicegym.grading.python.runner\n"
        "import novicegym.grading.javascript.runner, novicegym.grading.store\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def at_work_in(folder: Path) -> list[int]:
    """All processes in a folder that are there for longer than a killed one takes to end."""
    deadline = time.monotonic() + 1
    while (found := _at_work_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _at_work_in(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd").startswith(str(folder)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
