"""What the attack suite (test_attacks.py) does not cover: programs that may start processes,
zygotes that die, and what is left of a grader whose caller is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.errors import GraderError
from novicegym.grading.grader import Grader, Limits
from novicegym.grading.runner import Run
from novicegym.grading.worker import ZygoteWorker

DOUBLE = Assignment("double", "", "", TestSuite(cases=(CallCase("f(3)", 6), CallCase("f(5)", 10))))
RIGHT = "def f(x): return 2 * x\n"
STARTS_PROCESSES = [
    "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n",
    "import os, time\nif os.fork() == 0:\n os.setsid()\n time.sleep(99)\n",
    "import os\nos.fork()\n",
    "import os\nfor _ in range(4):\n if os.fork() == 0: os._exit(0)\n",
]


@pytest.fixture(scope="module")
def spacious() -> Iterator[Grader]:
    """A grader whose programs may start processes."""
    limits = Limits(cpu_seconds=0.3, wall_seconds=1.5, processes=8)
    with Grader(workers=1, limits=limits) as grader:
        yield grader


def forging(line: str) -> str:
    """A program that writes a line to its supervisor itself, and ends."""
    return (
        f"import os\nfor i in range(3, 30):\n try: os.write(i, {(line + chr(10)).encode()!r})\n"
        " except OSError: pass\nos._exit(0)\n"
    )


@pytest.mark.parametrize("waits", [True, False])
def test_cpu_time_of_a_programs_own_processes_counts(spacious: Grader, waits: bool) -> None:
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
    verdict = spacious.grade(DOUBLE, f"wait = {waits}\n" + code + RIGHT)
    assert verdict.outcome == "timeout"


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


@pytest.mark.parametrize("program", STARTS_PROCESSES)
def test_where_processes_are_allowed_none_outlives_its_program(
    spacious: Grader, program: str
) -> None:
    spacious.grade(DOUBLE, RIGHT)
    descriptors, processes = _descriptors(), _zygotes(os.getpid())
    assert spacious.grade(DOUBLE, program + RIGHT).correct
    assert spacious.grade(DOUBLE, f"{RIGHT}# after {program!r}").correct
    assert _descriptors() == descriptors
    assert _zygotes(os.getpid()) == processes


@pytest.mark.parametrize("program", STARTS_PROCESSES)
def test_where_none_are_allowed_none_starts(quick_grader: Grader, program: str) -> None:
    verdict = quick_grader.grade(DOUBLE, program + RIGHT)
    assert verdict.outcome == "runtime"
    assert verdict.cases[0].error.endswith(
        ("Resource temporarily unavailable", "can't start new thread")
    )


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


def test_a_zygote_that_cannot_start_is_a_grader_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novicegym.grading.worker.BOOT", "raise SystemExit('no luck')")
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
