"""Programs that try to break, fool or outlive the grader.

Each gets its honest verdict, and the very next submission on the same zygote is graded correctly.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.errors import GraderError
from novicegym.grading.grader import Grader
from novicegym.grading.runner import Run
from novicegym.grading.worker import ZygoteWorker

DOUBLE = Assignment("double", "", "", TestSuite(cases=(CallCase("f(3)", 6), CallCase("f(5)", 10))))
RIGHT = "def f(x): return 2 * x\n"
FAILS = {
    "infinite loop": "while True: pass",
    "fork bomb": "import os\nwhile True:\n try: os.fork()\n except OSError: pass",
    "memory": "l = []\nwhile True: l.append(' ' * 10 ** 6)",
    "output flood": "while True: print('x' * 10000)",
    "recursion": "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x): return f(x)",
    "segfault": "import ctypes\nctypes.string_at(0)",
    "exit": "import sys\nsys.exit()",
    "os._exit": "import os\nos._exit(0)",
    "kill all": "import os\nos.kill(-1, 9)",
    "kill itself": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "ignored signals": (
        "import signal\nfor s in range(1, 65):\n"
        " try: signal.signal(s, signal.SIG_IGN)\n except Exception: pass\nwhile True: pass"
    ),
    "closed descriptors": "import os\nos.closerange(0, 100)" + "\n" + RIGHT,
    "printed verdict": 'print(\'["case",6,"",false,"",null]\')\ndef f(x): return 0',
    "junk on the socket": (
        "import os\nfor i in range(3, 30):\n try: os.write(i, b'\\xff[[[[\\n')\n"
        " except OSError: pass\n" + RIGHT
    ),
    "nested junk": (
        "import os\nfor i in range(3, 30):\n try: os.write(i, b'[' * 100000 + b'\\n')\n"
        " except OSError: pass\n" + RIGHT
    ),
    "equal to all": "class E:\n def __eq__(s, o): return True\ndef f(x): return E()",
    "equal int": "class N(int):\n def __eq__(s, o): return True\ndef f(x): return N(1)",
    "colliding hashes": "def f(x): return {i * (2 ** 61 - 1) for i in range(3000)}",
    "huge answer": "def f(x): return 'x' * 50_000_000",
    "endless answer": "def f(x):\n l = []\n l += [l, l]\n return l",
    "blocked reading": "import os\nr, w = os.pipe()\nos.read(r, 1)",
    "regex": "import re\nre.match('(a+)+b', 'a' * 50)",
    "big compile": "x = " + "+".join(["1"] * 30000),
    "read a file": "print(open('/etc/passwd').read())",
    "start a program": "import os\nos.execv('/bin/sh', ['sh'])",
    "open a socket": "import socket\nsocket.socket()",
    "folders too deep to remove": (
        "import os\nfor i in range(40):\n os.mkdir('d' * 250)\n os.chdir('d' * 250)\n" + RIGHT
    ),
}
SUCCEEDS = {
    "kill the parent": "import os\ntry: os.kill(os.getppid(), 9)\nexcept OSError: pass\n",
    "interrupt the parent": (
        "import os, signal\ntry: os.kill(os.getppid(), signal.SIGINT)\nexcept OSError: pass\n"
    ),
    "another folder": "import os\nos.makedirs('d', exist_ok=True)\nos.chdir('d')\n",
    "patched exit": "import os\nos._exit = lambda code: None\n",
    "patched builtins": (
        "import builtins\nfor n in ('len', 'type', 'issubclass', 'compile', 'exec', 'eval'):\n"
        " setattr(builtins, n, None)\n"
    ),
    "atexit": "import atexit, os\natexit.register(os._exit, 7)\n",
    "a thread that outlives": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n"
    ),
    "a daemon": "import os, time\nif os.fork() == 0:\n os.setsid()\n time.sleep(99)\n",
    "a forked copy": "import os\nos.fork()\n",
    "files left behind": (
        "import os\nos.makedirs('d/e')\nos.symlink('/', 'd/l')\nos.chmod\n"
        "open('note', 'w').close()\n"
    ),
    "no stdout": "import sys\nsys.stdout.close()\nsys.stdout = None\n",
    "low recursion limit": "import sys\nsys.setrecursionlimit(60)\n",
}


def forging(line: str) -> str:
    """A program that writes a line to its supervisor itself, and ends."""
    return (
        f"import os\nfor i in range(3, 30):\n try: os.write(i, {(line + chr(10)).encode()!r})\n"
        " except OSError: pass\nos._exit(0)\n"
    )


@pytest.mark.parametrize("name", FAILS)
def test_hostile_program_fails_and_the_next_is_graded(quick_grader: Grader, name: str) -> None:
    verdict = quick_grader.grade(DOUBLE, FAILS[name])
    assert verdict.grade == 0
    assert quick_grader.grade(DOUBLE, f"{RIGHT}# after {name}").correct


@pytest.mark.parametrize("name", SUCCEEDS)
def test_odd_program_gets_its_grade_and_the_next_too(quick_grader: Grader, name: str) -> None:
    assert quick_grader.grade(DOUBLE, SUCCEEDS[name] + RIGHT).correct
    assert quick_grader.grade(DOUBLE, f"{RIGHT}# after {name}").correct


def test_nothing_of_a_program_is_left_for_the_next(quick_grader: Grader) -> None:
    spy = "import os\ndef f(x): return [os.listdir('.'), sorted(os.environ)]\n"
    before = quick_grader.grade(DOUBLE, spy).cases[0].actual
    quick_grader.grade(DOUBLE, "import os\nos.environ['A'] = 'b'\nopen('x', 'w')\n" + RIGHT)
    assert quick_grader.grade(DOUBLE, spy + "#").cases[0].actual == before
    assert before.startswith("[[], ['HOME'")


def test_a_program_cannot_lower_the_limits_of_the_next(quick_grader: Grader) -> None:
    for name, value in (("AS", 60 << 20), ("FSIZE", 0), ("NOFILE", 3), ("NPROC", 0), ("CPU", 1)):
        code = (
            "import os, resource\n"
            f"try: resource.prlimit(os.getppid(), resource.RLIMIT_{name}, ({value}, {value}))\n"
            "except OSError: pass\n"
        )
        assert quick_grader.grade(DOUBLE, code + RIGHT).correct
        # Address space alone: filling it would take CPU time, more so on a busy machine.
        greedy = f"import mmap\nx = mmap.mmap(-1, 100 << 20)\nopen('{name}', 'w').write('x')\n"
        assert quick_grader.grade(DOUBLE, greedy + RIGHT).correct


@pytest.mark.parametrize("waits", [True, False])
def test_cpu_time_of_a_programs_own_processes_counts(quick_grader: Grader, waits: bool) -> None:
    code = (
        "import os, time\n"
        "r, w = os.pipe()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "  while time.process_time() < 0.4: pass\n"
        "  os.write(w, b'done')\n"
        "  time.sleep(0 if wait else 99)\n"
        "  os._exit(0)\n"
        "os.read(r, 4)\n"
        "if wait: os.waitpid(pid, 0)\n"
    )
    verdict = quick_grader.grade(DOUBLE, f"wait = {waits}\n" + code + RIGHT)
    assert verdict.outcome == "timeout"


def test_a_folder_that_cannot_be_removed_is_not_left_for_the_next(quick_grader: Grader) -> None:
    verdict = quick_grader.grade(DOUBLE, FAILS["folders too deep to remove"] + "#")
    assert verdict.outcome == "refused"
    spy = "import os\ndef f(x): return os.listdir('.')  # of deep folders\n"
    assert quick_grader.grade(DOUBLE, spy).cases[0].actual == "[]"


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ('["compile","%s"]' % ("x" * 100_000), "compile"),
        ('["forbidden","%s",1]' % ("x" * 100_000), "runtime"),
        ('["case",6,"",false,"",["runtime","%s"]]' % ("x" * 100_000), "runtime"),
        ('["case",["zz"],"",false,"",null]', "refused"),
        ('["case",["i","0x1g"],"",false,"",null]', "refused"),
        ('["case",["d",1],"",false,"",null]', "refused"),
        ('["case",["s",["l"]],"",false,"",null]', "refused"),
        ('["case",' + '["l",' * 600 + "1" + "]" * 600 + ',"",false,"",null]', "refused"),
    ],
)
def test_a_forged_reply_gives_a_verdict_of_ordinary_size(
    quick_grader: Grader, line: str, outcome: str
) -> None:
    verdict = quick_grader.grade(DOUBLE, forging(line))
    assert (verdict.grade, verdict.outcome) == (0, outcome)
    assert len(str(verdict.to_json())) < 6_000


def test_children_beside_the_callers_own_files_and_processes_are_confined(tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.touch(0o644)
    script = (
        "import ctypes, os, signal, sys, threading\n"
        "from novicegym.grading import seccomp\n"
        "ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"
        "if not seccomp.confine_child(): sys.exit(77)\n"
        "path = sys.argv[1]\n"
        "for what in (lambda: os.chmod(path, 0), lambda: os.chmod('note', 0, dir_fd=\n"
        "   os.open(os.path.dirname(path), 0)), lambda: os.fchmod(os.open(path, 0), 0), os.fork,\n"
        "   lambda: os.kill(os.getppid(), 0), lambda: os.kill(-1, 0)):\n"
        "  try: what()\n"
        "  except PermissionError: continue\n"
        "  os._exit(1)\n"
        "thread = threading.Thread(target=print)\n"
        "thread.start()\n"
        "thread.join()\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(note)], check=False).returncode
    if ended == 77:
        pytest.skip("no system call filters on this machine")
    assert ended == -signal.SIGTERM
    assert note.stat().st_mode & 0o777 == 0o644


def test_hostile_programs_leave_no_processes_and_no_descriptors() -> None:
    before = _zygotes(os.getpid())
    with Grader(workers=1) as grader:
        grader.grade(DOUBLE, RIGHT)
        descriptors, processes = _descriptors(), _zygotes(os.getpid())
        assert set(processes) > set(before)
        for name in ("a daemon", "a forked copy", "a thread that outlives", "files left behind"):
            grader.grade(DOUBLE, SUCCEEDS[name] + RIGHT)
        assert _descriptors() == descriptors
        assert _zygotes(os.getpid()) == processes
    assert _zygotes(os.getpid()) == before


def test_a_program_that_ends_its_zygote_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(worker: ZygoteWorker, request: bytes, *limits: float) -> Run:
        nonlocal deaths
        if deaths:
            deaths -= 1
            os.kill(worker._process.pid, signal.SIGKILL)
            worker._control.settimeout(10)
            assert worker._control.recv(1) == b""  # the zygote is gone
        return original(worker, request, *limits)

    original, deaths = ZygoteWorker.run, 0
    monkeypatch.setattr(ZygoteWorker, "run", run)
    with Grader(workers=1) as grader:
        deaths = 1
        assert grader.grade(DOUBLE, RIGHT).correct
        deaths = 2
        verdict = grader.grade(DOUBLE, RIGHT + "#")
        assert (verdict.outcome, verdict.grade, deaths) == ("refused", 0, 0)
        assert grader.grade(DOUBLE, RIGHT + "#").correct
        deaths = 3  # the third time it was given a harmless program
        with pytest.raises(GraderError, match="cannot run any program"):
            grader.grade(DOUBLE, RIGHT + "##")


def test_a_killed_zygote_is_replaced() -> None:
    before = _zygotes(os.getpid())
    with Grader(workers=1) as grader:
        grader.grade(DOUBLE, RIGHT)
        zygote, *_ = set(_zygotes(os.getpid())) - set(before)
        os.kill(zygote, signal.SIGKILL)
        assert grader.grade(DOUBLE, RIGHT + "#").correct


def test_a_zygote_that_cannot_start_is_a_grader_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "zygote.py"
    broken.write_text("raise SystemExit('no luck')")
    monkeypatch.setattr("novicegym.grading.worker._ZYGOTE", broken)
    with Grader(workers=1) as grader, pytest.raises(GraderError, match="cannot start: no luck"):
        grader.grade(DOUBLE, RIGHT)


def test_a_fork_of_the_caller_cannot_use_its_grader_and_does_not_end_it() -> None:
    with Grader(workers=1) as grader:
        grader.grade(DOUBLE, RIGHT)
        pid = os.fork()
        if pid == 0:
            try:
                grader.grade(DOUBLE, RIGHT + "#")
            except GraderError:
                grader.close()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        assert grader.grade(DOUBLE, RIGHT + "##").correct


@pytest.mark.parametrize("busy", [False, True])
def test_a_killed_caller_leaves_no_process_and_no_folder(tmp_path: Path, busy: bool) -> None:
    script = (
        "import threading, time\n"
        "from novicegym.courses.model import Assignment\n"
        "from novicegym.courses.suite import CallCase, TestSuite\n"
        "from novicegym.grading.grader import Grader\n"
        "a = Assignment('a', '', '', TestSuite(cases=(CallCase('f()', 1),)))\n"
        "grader = Grader(workers=1)\n"
        "grader.grade(a, '')\n"
        "code = 'import time\\ntime.sleep(60)'\n"
        f"if {busy}: threading.Thread(target=grader.grade, args=(a, code)).start()\n"
        "time.sleep(0.2)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        processes = _zygotes(caller.pid)
        assert processes
        caller.kill()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in processes):
        assert time.monotonic() < deadline, f"still there: {processes}"
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _zygotes(ancestor: int) -> list[int]:
    """All live processes that descend from `ancestor`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {ancestor})
