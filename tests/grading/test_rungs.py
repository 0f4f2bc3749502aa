"""The ladder of isolation: what is in force where the system withholds a part, and refusals.

A system that lacks something is made by a filter that denies the system calls for it, as the
profiles of containers do; an ordinary user by another uid.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from novicegym.errors import GraderError, UsageError
from novicegym.grading import seccomp
from novicegym.grading.grader import Grader
from novicegym.grading.rungs import LAYERS, RUNGS, rung_of

NAMESPACE_CALLS = (272, 308, 165, 166, 155)  # unshare setns mount umount2 pivot_root, on x86-64
LANDLOCK_CALLS = (444, 445, 446)
SCRIPT = """
import ctypes, json, os, site, sys
denied, filters, require, packages = json.loads(sys.argv[1])
site.addsitedir(packages)
from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.errors import GraderError
from novicegym.grading import seccomp
from novicegym.grading.grader import Grader

ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
lines = []
for number, error in denied:
    lines += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | error)]
if not filters:  # prctl(PR_SET_SECCOMP) is refused
    lines += [(0x15, 0, 4, 157), (0x20, 0, 0, 16), (0x15, 0, 1, 22), (0x06, 0, 0, 0x00050016)]
    lines += [(0x06, 0, 0, 0x7FFF0000)]
assert seccomp._install([*lines, (0x06, 0, 0, 0x7FFF0000)])
suite = TestSuite(cases=(CallCase("f(3)", 6),))
spy = '''
import os
import re
def f(x):
    seen = [os.path.exists("/etc/passwd"), os.getppid() == 1]
    for what, *arguments in ((open, "/etc/passwd"), (os.kill, 1, 0), (open, "n", "w")):
        try: what(*arguments)
        except OSError: seen.append(False)
        else: seen.append(True)
    return seen
'''
try:
    with Grader(workers=1, require=require) as grader:
        verdicts = [
            grader.grade(Assignment("a", "", "", suite), code)
            for code in ("def f(x): return 2 * x", "while True: pass", spy, "def f(x): return 6")
        ]
        said = [v.outcome for v in verdicts], verdicts[2].cases[0].actual
        print(json.dumps([grader.rung, grader.isolation, *said]))
except GraderError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def python(grader: Grader) -> Iterator[tuple[str, dict[str, str]]]:
    """An interpreter that every user may read, and the environment it needs.

    One under a private home folder is copied: no other uid could start it.
    """
    if grader.rung != "full" or os.uname().machine != "x86_64" or os.geteuid() != 0:
        pytest.skip(f"it takes root and x86-64 to withhold parts of {grader.isolation}")
    folder = Path(tempfile.mkdtemp(prefix="novicegym-python-"))
    folder.chmod(0o755)
    library = Path(sysconfig.get_path("stdlib"))
    leave_out = shutil.ignore_patterns("test", "site-packages", "idlelib", "ensurepip", "*.a")
    try:
        shutil.copytree(library, folder / "lib" / library.name, ignore=leave_out, symlinks=True)
        for shared in Path(sysconfig.get_config_var("LIBDIR")).glob("libpython*.so*"):
            shutil.copy(shared, folder / "lib")
        (folder / "bin").mkdir()
        shutil.copy(os.path.realpath(sys.executable), folder / "bin" / "python")
        yield str(folder / "bin" / "python"), {"LD_LIBRARY_PATH": str(folder / "lib")}
    finally:
        shutil.rmtree(folder)


def grade_hindered(
    python: tuple[str, dict[str, str]],
    denied: Collection[tuple[int, int]] = (),
    *,
    filters: bool = True,
    uid: int = 0,
    require: str | None = None,
) -> Any:
    """Grade in a process of this uid to which system calls (number, errno) are denied."""
    arguments = json.dumps([list(denied), filters, require, sysconfig.get_path("purelib")])
    program, environment = python
    done = subprocess.run(
        [program, "-c", SCRIPT, arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=uid,
        group=uid,
        extra_groups=[],
        env=environment | {"NOVICEGYM_CACHE": "off"},
    )
    if done.returncode and "PermissionError" in done.stderr:
        pytest.skip("the checkout or its environment cannot be read by other users")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


EPERM, ENOSYS = 1, 38
NO_NAMESPACES = [(number, EPERM) for number in NAMESPACE_CALLS]
NO_LANDLOCK = [(number, ENOSYS) for number in LANDLOCK_CALLS]


@pytest.mark.parametrize(
    ("hindrance", "rung", "present", "absent"),
    [
        ({}, "full", {"uid", "mount", "landlock", "processes"}, {"user"}),
        ({"uid": 1000}, "full", {"user", "mount", "processes"}, {"uid"}),
        ({"denied": NO_LANDLOCK}, "no-landlock", {"uid", "mount"}, {"landlock"}),
        ({"denied": NO_NAMESPACES}, "no-namespaces", {"uid", "landlock"}, {"pid", "mount"}),
        (
            {"denied": NO_NAMESPACES, "uid": 1000},
            "no-namespaces",
            {"landlock", "seccomp"},
            {"pid", "mount", "uid", "user"},
        ),
        (
            {"denied": NO_NAMESPACES + NO_LANDLOCK, "require": "limits-only"},
            "limits-only",
            {"uid", "seccomp"},
            {"landlock"},
        ),
        (
            {"filters": False, "require": "limits-only"},
            "limits-only",
            {"mount", "landlock"},
            {"seccomp"},
        ),
    ],
    ids=[
        "everything there",
        "an ordinary user",
        "no Landlock",
        "a container's default profile",
        "a container's default profile without root",
        "neither namespaces nor Landlock",
        "no system-call filters",
    ],
)
def test_what_is_in_force_where_a_part_is_missing(
    python: tuple[str, dict[str, str]],
    hindrance: dict[str, Any],
    rung: str,
    present: set[str],
    absent: set[str],
) -> None:
    named, layers, outcomes, seen = grade_hindered(python, **hindrance)
    assert named == rung
    assert present <= set(layers)
    assert not absent & set(layers)
    assert outcomes == ["correct", "timeout", "logical", "correct"]
    sees_files, own_processes, reads, signals, writes = json.loads(seen.lower())
    assert sees_files == ("mount" not in layers)
    assert own_processes == ("pid" in layers)
    assert reads == (not {"mount", "landlock"} & set(layers))
    assert writes
    assert not signals or "pid" in layers  # its own zygote, which as process 1 ignores it


def test_below_the_required_rung_grading_is_refused(python: tuple[str, dict[str, str]]) -> None:
    said = grade_hindered(python, NO_NAMESPACES + NO_LANDLOCK)
    assert "is 'limits-only', below the required 'no-namespaces' (missing: landlock)" in said
    assert "NOVICEGYM_SANDBOX=limits-only" in said
    assert "'no-namespaces', below the required 'full'" in grade_hindered(
        python, NO_NAMESPACES, require="full"
    )


CHECK = """
import json, site, sys
site.addsitedir(sys.argv[1])
from novicegym.grading.check import check_sandbox
names = ["stats_a_host_file", "signals_the_hosts_processes"]
names += ["bombs_with_forks", "bombs_with_threads"]
report = check_sandbox(only=names)
print(json.dumps([report.rung, [[result.name, result.detail] for result in report.breaches]]))
"""


def test_the_check_holds_for_an_ordinary_user(python: tuple[str, dict[str, str]]) -> None:
    program, environment = python
    done = subprocess.run(
        [program, "-c", CHECK, sysconfig.get_path("purelib")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=1000,
        group=1000,
        extra_groups=[],
        env=environment | {"NOVICEGYM_CACHE": "off"},
    )
    if done.returncode and "PermissionError" in done.stderr:
        pytest.skip("the checkout or its environment cannot be read by other users")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["full", []]


def test_rungs_follow_from_the_layers() -> None:
    assert rung_of(LAYERS) == "full"
    assert rung_of(LAYERS - {"user"}) == rung_of(LAYERS - {"uid"}) == "full"
    assert rung_of(LAYERS - {"user", "uid"}) == "no-namespaces"
    assert rung_of(LAYERS - {"landlock"}) == "no-landlock"
    assert rung_of(LAYERS - {"mount"}) == "no-namespaces"
    assert rung_of(LAYERS - {"mount", "landlock"}) == "limits-only"
    assert rung_of(LAYERS - {"rlimits"}) == rung_of(()) == "not-a-sandbox" == RUNGS[-1]


def test_the_required_rung_comes_from_the_caller_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = {"workers": 1, "layers": frozenset({"rlimits", "no_new_privs"})}
    with Grader(**bare) as grader, pytest.raises(GraderError, match="'limits-only', below"):
        _ = grader.isolation
    monkeypatch.setenv("NOVICEGYM_SANDBOX", "limits-only")
    with Grader(**bare) as grader:
        assert grader.rung == "limits-only"
    with Grader(**bare, require="full") as grader, pytest.raises(GraderError, match="'full'"):
        _ = grader.rung
    monkeypatch.setenv("NOVICEGYM_SANDBOX", "fulll")
    with pytest.raises(UsageError, match="Did you mean 'full'"):
        Grader()


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "x86_64-linux-gnu/asm/unistd_64.h"), (1, "asm-generic/unistd.h")],
    ids=["x86-64", "aarch64"],
)
def test_system_call_numbers_are_the_kernels(column: int, header: str) -> None:
    path = Path("/usr/include") / header
    if not path.is_file():
        pytest.skip(f"no kernel header at {path}")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", path.read_text(), re.M)
    numbers = {name: int(number) for name, number in found}
    if column == 1:  # the generic header calls it by its newer name
        numbers["newfstatat"] = numbers["fstatat"]
    for name, ours in seccomp._CALLS.items():
        assert ours[column] == numbers.get(name), name
    arguments = {"ioctl": seccomp._IOCTL, "clone": seccomp._CLONE, "prctl": seccomp._PRCTL}
    arguments |= {"prlimit64": seccomp._PRLIMIT, "clone3": seccomp._CLONE3}
    arguments |= {"fcntl": seccomp._FCNTL, "execve": seccomp._EXECVE}
    for name, ours in arguments.items():
        assert ours[column] == numbers[name], name
