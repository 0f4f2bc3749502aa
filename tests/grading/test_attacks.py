"""The attack suite against the sandbox of this machine, and the check that runs it.

Every attack is a test of its own. The rest shows that the check can fail: each detector notices
its own kind of change, and attacks get through where layers are taken away.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import pytest

from novicegym.errors import UsageError
from novicegym.grading.canary import World, changes
from novicegym.grading.check import (
    Attack,
    AttackResult,
    SandboxCheck,
    check_sandbox,
    load_attacks,
    wrong_verdict,
)
from novicegym.grading.rungs import LAYERS
from novicegym.grading.verdict import CaseResult, Verdict

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

ATTACKS = load_attacks()
HONEST = Attack("honest", "", "def f(x): return 2 * x\n", Fraction(1), ("correct",))


# The check watches the process it runs in, and other tests leave threads and children in this one.
_ALONE = """
import sys
from fractions import Fraction
from novicegym.grading.check import Attack, SandboxCheck
with SandboxCheck() as check:
    print(check.rung, flush=True)
    for attack in sys.stdin:
        print(check.run(eval(attack)), flush=True)
"""

_WITHOUT = """
import sys
from novicegym.grading.check import check_sandbox
report = check_sandbox(layers=frozenset(sys.argv[1:]))
print(report.rung)
for breach in report.breaches:
    print(f"{breach.name}: {breach.detail!r}")
"""

RunAttack: TypeAlias = Callable[[Attack], AttackResult]


@pytest.fixture(scope="module")
def run_attack() -> Iterator[RunAttack]:
    """Canaries and a grader, shared by all attacks, in a process of their own."""
    with subprocess.Popen(
        [sys.executable, "-c", _ALONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        rung = stdout.readline().strip()
        assert rung, "the check ended before it began"
        if rung != "full":
            pytest.skip(f"attacks get through by design: the sandbox here is {rung!r}")

        def run(attack: Attack) -> AttackResult:
            stdin.write(f"{attack!r}\n")
            stdin.flush()
            answer = stdout.readline()
            assert answer, f"the check ended at {attack.name}"
            result = eval(answer)
            assert isinstance(result, AttackResult)
            return result

        yield run


@pytest.fixture
def world() -> Iterator[World]:
    """Canaries alone."""
    world = World()
    yield world
    world.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_stopped(run_attack: RunAttack, name: str) -> None:
    result = run_attack(ATTACKS[name])
    assert (result.status, result.detail) == ("stopped", "")


def test_without_namespaces_only_what_must_get_through_does() -> None:
    """The weakest rung that is accepted unasked: Docker's default profile."""
    layers = sorted(without("pid", "net", "ipc", "uts", "mount", "user"))
    rung, *breaches = subprocess.run(
        [sys.executable, "-c", _WITHOUT, *layers], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    if rung != "no-namespaces":
        pytest.skip(f"the rung here is {rung!r}")
    # Without a file tree of its own, names can be seen, and a folder has no size.
    by_design = {
        *("fills_its_disk", "uses_up_all_files"),
        *("stats_a_host_file", "loads_machine_code_from_its_folder"),
    }
    assert [breach for breach in breaches if breach.partition(":")[0] not in by_design] == []


def test_there_are_many_attacks_all_different_and_explained() -> None:
    assert len(ATTACKS) >= 70
    assert len({attack.code for attack in ATTACKS.values()}) == len(ATTACKS)
    assert len({attack.tries for attack in ATTACKS.values()}) == len(ATTACKS)
    for name, attack in ATTACKS.items():
        assert attack.tries.endswith((".", ")")), name
        assert set(attack.needs) <= LAYERS, name


def test_an_honest_program_is_no_breach(run_attack: RunAttack) -> None:
    result = run_attack(HONEST)
    assert (result.status, result.detail) == ("stopped", "")


def _connect(family: socket.AddressFamily, address: str | tuple[str, int]) -> None:
    with socket.socket(family) as caller:
        caller.connect(address)


def _send(world: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.sendto(b"x", ("127.0.0.1", _name(world, "HOST_PORT")))


def _run(world: World, code: str) -> None:
    subprocess.run([sys.executable, "-c", f"{world.setup()}\n{code}"], check=True)


def _name(world: World, name: str) -> int:
    names: dict[str, int] = {}
    exec(world.setup(), names)
    return names[name]


TOUCHES: dict[str, tuple[Callable[[World], object], str]] = {
    "content": (lambda w: w.file.write_text("x"), "file folder/file: "),
    "mode": (lambda w: w.file.chmod(0o600), "file folder/file: "),
    "owner": (lambda w: os.chown(w.file, os.getuid() + 1, -1), "file folder/file: "),
    "times": (lambda w: os.utime(w.file, (0, 0)), "file folder/file: "),
    "attribute": (lambda w: os.setxattr(w.file, "user.x", b"x"), "file folder/file: "),
    "hard link": (lambda w: os.link(w.file, w.folder.parent / "x"), "file folder/file: "),
    "removal": (lambda w: w.file.unlink(), "file folder/file: "),
    "new file": (lambda w: (w.folder / "x").touch(), "file folder/x: absent became "),
    "new link": (lambda w: (w.folder / "x").symlink_to("/"), "file folder/x: absent became "),
    "folder": (lambda w: w.folder.chmod(0o700), "file folder: "),
    "mark": (lambda w: Path(f"/tmp/{w.mark}").touch(), "marked files: [] became ['/tmp/canary-"),
    "signal": (lambda w: w.process.send_signal(signal.SIGTERM), "canary process, signals: "),
    "killed": (lambda w: (w.process.kill(), w.process.wait()), "canary process, life: alive "),
    "stopped": (lambda w: w.process.send_signal(signal.SIGSTOP), "canary process, life: alive "),
    "nice": (lambda w: os.setpriority(0, w.process.pid, 19), "canary process, nice: "),
    "limits": (
        lambda w: _run(w, "import resource as r\nr.prlimit(HOST_PID, r.RLIMIT_CPU, (9, 9))"),
        "canary process, limits: ",
    ),
    "processors": (
        lambda w: os.sched_setaffinity(w.process.pid, {min(os.sched_getaffinity(0))}),
        "canary process, processors: ",
    ),
    "TCP": (
        lambda w: _connect(socket.AF_INET, ("127.0.0.1", _name(w, "HOST_PORT"))),
        "arrived by TCP: 0 became 1",
    ),
    "UDP": (_send, "arrived by UDP: 0 became 1"),
    "abstract": (
        lambda w: _connect(socket.AF_UNIX, f"\0{w.mark}"),
        "arrived by abstract socket: 0 became 1",
    ),
    "socket file": (
        lambda w: _connect(socket.AF_UNIX, str(w.folder / "socket")),
        "arrived by socket file: 0 became 1",
    ),
    **{
        kind: (
            lambda w, call=call: _run(
                w, f"import ctypes\nassert ctypes.CDLL(None).{call} != -1, 'refused'"
            ),
            what,
        )
        for kind, call, what in (
            ("message", "msgget(HOST_KEY, 0o1600)", "System V msg: [] became "),
            ("semaphore", "semget(HOST_KEY, 1, 0o1600)", "System V sem: [] became "),
            ("memory", "shmat(ctypes.CDLL(None).shmget(HOST_KEY, 0, 0), 0, 0)", "System V shm: "),
            ("queue", "mq_open(b'/' + HOST_MARK.encode(), 0o102, 0o600, None)", "message queue: "),
        )
    },
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_a_canary_that_is_touched_shows_it(world: World, touch: str) -> None:
    act, expected = TOUCHES[touch]
    before = world.state()
    assert changes(before, world.state()) == []
    if touch == "owner" and os.geteuid():
        pytest.skip("only root can give a file away")
    act(world)
    assert any(change.startswith(expected) for change in changes(before, world.state()))


def test_what_belongs_to_the_caller_is_watched(world: World) -> None:
    before = world.state()
    mask = os.umask(0o1)
    fd = os.open("/", os.O_RDONLY)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as left:
        after = world.state()
        left.communicate(b"\n")
    os.umask(mask)
    os.close(fd)
    found = {change.partition(":")[0] for change in changes(before, after)}
    assert {"caller, umask", "caller, descriptors", "processes"} <= found
    assert changes(before, world.state()) == []


def test_a_world_leaves_nothing_behind() -> None:
    world = World()
    Path(f"/tmp/{world.mark}").touch()
    _run(world, "import ctypes\nctypes.CDLL(None).msgget(HOST_KEY, 0o1600)")
    pid, mark, key = world.process.pid, world.mark, _name(world, "HOST_KEY")
    world.close()
    assert not [name for name in os.listdir("/tmp") if mark in name]
    assert not Path(f"/proc/{pid}").exists()
    for kind in ("shm", "msg"):
        assert str(key) not in Path(f"/proc/sysvipc/{kind}").read_text().split()


@pytest.mark.parametrize("failing", ["the socket file", "the process"])
def test_a_world_half_made_leaves_nothing_behind(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 30 if failing == "the socket file" else "")
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    if failing == "the process":
        monkeypatch.setattr("sys.executable", str(tmp_path / "no such interpreter"))
    segments = Path("/proc/sysvipc/shm").read_text().splitlines()
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match=r"path too long|no such interpreter"):
        World()
    assert list(folder.iterdir()) == []
    assert os.listdir("/proc/self/fd") == descriptors
    assert Path("/proc/sysvipc/shm").read_text().splitlines() == segments


def test_a_verdict_that_is_not_the_honest_one_is_told() -> None:
    right = Verdict(Fraction(1), "correct")
    wrong = Verdict(Fraction(0), "logical", (CaseResult("1", False, "logical", actual="'out'"),))
    assert wrong_verdict(HONEST, right) == []
    assert wrong_verdict(HONEST, wrong) == ["verdict: 0 (logical) instead of 1 (correct): 'out'"]


def without(*layers: str) -> frozenset[str]:
    """All layers but these."""
    assert set(layers) <= LAYERS
    return LAYERS - set(layers)


LIMITS_ALONE = frozenset({"no_new_privs", "rlimits"})


@pytest.mark.parametrize(
    ("layers", "attack", "detail"),
    [
        (without("mount"), "stats_a_host_file", "verdict: "),
        (without("mount", "landlock"), "reads_a_host_file", "verdict: "),
        (without("mount", "landlock", "seccomp"), "truncates_a_host_file", "outside: file folder"),
        (without("mount", "uid", "seccomp"), "changes_the_mode_of_a_host_file", "outside: file"),
        (without("net", "landlock", "seccomp"), "connects_to_the_host", "outside: arrived by TCP"),
        (LIMITS_ALONE, "signals_the_hosts_processes", "outside: canary process, signals"),
        (LIMITS_ALONE, "starts_a_daemon", "outside: processes"),
        (LIMITS_ALONE, "shares_memory_by_a_name", "the next program: marks"),
        (LIMITS_ALONE, "changes_the_scheduling_of_others", "the next program: processors"),
        (without("ipc", "seccomp"), "leaves_messages_in_kernel_queues", "outside: System V msg"),
        (without("seccomp"), "handles_its_own_page_faults", "verdict: "),
        (without("seccomp"), "calls_the_kernel_in_32_bit", "verdict: "),
        (without("rlimits"), "raises_its_limits", "verdict: "),
    ],
)
def test_an_attack_gets_through_where_layers_are_missing(
    layers: frozenset[str], attack: str, detail: str
) -> None:
    report = check_sandbox(layers=layers, only=[attack])
    [breach] = report.breaches
    assert detail in breach.detail


def test_an_attack_that_would_harm_the_machine_is_not_tried() -> None:
    report = check_sandbox(layers=LIMITS_ALONE, only=["kills_everything"])
    [left_out] = report.not_tried
    assert left_out.detail == "would harm this machine: it has none of pid, uid, seccomp"
    assert report.rung == "limits-only"


def test_a_caller_kept_busy_is_a_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novicegym.grading.check._BUSY_SECONDS", 0.0)
    with SandboxCheck() as check:
        result = check.run(HONEST)
    assert result.status == "got through"
    assert result.detail.startswith("outside: the caller was kept busy for 0.0 s")


def test_after_a_breach_the_next_attack_is_judged_alone() -> None:
    attacks = [ATTACKS[name] for name in ("truncates_a_host_file", "renames_the_machine")]
    with SandboxCheck(without("mount", "landlock", "seccomp")) as check:
        assert [check.run(attack).status for attack in attacks] == ["got through", "stopped"]


def test_an_unknown_attack_is_refused_with_the_closest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'connects_to_the_host'"):
        check_sandbox(only=["connect_to_the_host"])
