"""A small world outside the sandbox, to see whether a program inside reaches it.

Covered: a folder anybody may write to, with a file and a socket in it; a process that notes every
signal it gets; listeners on the loopback; a System V memory segment; and what a program could
change of the caller itself. `state()` tells all of it as text, so two states can be compared.
Whatever an attack makes outside carries the world's mark, so that a busy machine raises no alarm.

Not covered: reading. A program that read what it must not says so in its answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from novicegym.grading.worker import BOOT

_ANSWER_SECONDS = 10.0
_PACKAGE = str(Path(__file__).parent)
_PROCESS = """
import signal, sys
seen = []
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, lambda number, frame: seen.append(int(number)))
print("ready", flush=True)
for line in sys.stdin:
    print(*sorted(seen), flush=True)
"""
_SHARED_FOLDERS = (
    *("/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/dev/mqueue", "/run", "/usr/lib"),
    os.path.dirname(os.__file__),
)
_IPC_CREAT, _IPC_RMID = 0o1000, 0
_SYS_MQ_OPEN = {"x86_64": 240, "aarch64": 180}
_SYS_MQ_UNLINK = {"x86_64": 241, "aarch64": 181}

_libc = ctypes.CDLL(None, use_errno=True)


class World:
    """The canaries of one check. Linux only."""

    def __init__(self) -> None:
        """Make the canaries; if one cannot be made, those made before are removed."""
        self.mark = f"canary-{secrets.token_hex(8)}"
        self._secret = secrets.token_hex(16)
        self._key = secrets.randbelow(1 << 30) + 1
        self._zygotes: set[bytes] = set()
        self._seen: dict[str, int] = {}
        with contextlib.ExitStack() as made:
            self._make(made)
            self._made = made.pop_all()

    def _make(self, made: contextlib.ExitStack) -> None:
        # Open to every uid: a uid of its own must not be all that stops a program.
        self._base = Path(tempfile.mkdtemp(prefix=f"{self.mark}-"))
        made.callback(self._remove_files)
        self._base.chmod(0o755)
        self.folder = self._base / "folder"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.file = self.folder / "file"
        self.file.write_text(self._secret)
        self.file.chmod(0o666)
        self._tcp, self._udp = _listeners()
        made.enter_context(self._tcp)
        made.enter_context(self._udp)
        self._abstract = made.enter_context(_listen_unix(f"\0{self.mark}"))
        self._unix = made.enter_context(_listen_unix(str(self.folder / "socket")))
        (self.folder / "socket").chmod(0o777)
        self._segment = _libc.shmget(self._key, 4096, _IPC_CREAT | 0o666)
        made.callback(self._remove_ipc)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROCESS, self._secret],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"SECRET": self._secret},
        )
        made.callback(self._end_process)
        self._hear()

    def setup(self) -> str:
        """Return the code that names the canaries to an attack."""
        names = {
            "HOST_FILE": str(self.file),
            "HOST_FOLDER": str(self.folder),
            "HOST_PORT": self._tcp.getsockname()[1],
            "HOST_SOCKET": f"\0{self.mark}",
            "HOST_UNIX": str(self.folder / "socket"),
            "HOST_PID": self.process.pid,
            "HOST_SUPERVISOR": os.getpid(),
            "HOST_MARK": self.mark,
            "HOST_KEY": self._key,
            "HOST_PACKAGE": _PACKAGE,
        }
        lines = [f"{name} = {value!r}" for name, value in names.items()]
        # In a pid namespace the number may be the program's own: then it names nobody.
        lines.append("if __import__('os').getpid() in (HOST_PID, HOST_SUPERVISOR):")
        lines.append("    HOST_PID = HOST_SUPERVISOR = (1 << 22) - 1")
        return "\n".join(lines)

    def state(self) -> dict[str, str]:
        """Return everything a program outside could have changed, as text by name."""
        state = {f"canary process, {k}": v for k, v in self._process_state().items()}
        state |= {f"caller, {k}": v for k, v in _of_process(os.getpid()).items()}
        state["caller, descriptors"] = str(len(os.listdir("/proc/self/fd")))
        state["caller, umask"] = _status("self")["Umask"]
        state["host name"] = os.uname().nodename
        family, orphans = self._processes()
        state["processes"] = str(len(family | orphans))
        state |= self._listener_state()
        state |= self._ipc_state()
        for path in sorted([self.folder, *self.folder.rglob("*")]):
            state[f"file {path.relative_to(self._base)}"] = _of_file(path)
        state["marked files"] = str(self._marked())
        return state

    def _marked(self) -> list[str]:
        """Return the paths of what carries our mark in folders that programs share."""
        found = []
        for place in {*_SHARED_FOLDERS, tempfile.gettempdir(), os.getcwd()}:
            with contextlib.suppress(FileNotFoundError):
                found += [os.path.join(place, name) for name in os.listdir(place)]
        return sorted(path for path in found if self.mark in path and path != str(self._base))

    def close(self) -> None:
        """End and remove all canaries, and what attacks left behind, once the grader is closed."""
        family, ours = self._processes()
        for pid in ours - family:  # orphans; those of the family are other graders'
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._made.close()

    def _end_process(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _remove_ipc(self) -> None:
        _libc.shmctl(self._segment, _IPC_RMID, None)
        _libc.msgctl(_libc.msgget(self._key, 0), _IPC_RMID, None)
        _libc.semctl(_libc.semget(self._key, 0, 0), 0, _IPC_RMID)
        machine = os.uname().machine
        if machine in _SYS_MQ_UNLINK:
            _libc.syscall(_SYS_MQ_UNLINK[machine], self.mark.encode())

    def _remove_files(self) -> None:
        for path in (str(self._base), *self._marked()):
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _hear(self) -> str | None:
        """Return the canary process's next line; None when it does not answer."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], _ANSWER_SECONDS)[0]:
            return None
        return self.process.stdout.readline().decode().strip()

    def _process_state(self) -> dict[str, str]:
        assert self.process.stdin is not None
        if self.process.poll() is not None:
            return {"life": f"ended with {self.process.returncode}"}
        if _status(self.process.pid)["State"][0] in "Tt":
            return {"life": "stopped"}
        self.process.stdin.write(b"\n")
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.flush()
        signals = self._hear()
        if signals is None:
            return {"life": "does not answer"}
        return {"life": "alive", "signals": signals, **_of_process(self.process.pid)}

    def _listener_state(self) -> dict[str, str]:
        """Count what has arrived since the world began."""
        for name, listener in (
            ("TCP", self._tcp),
            ("abstract socket", self._abstract),
            ("socket file", self._unix),
        ):
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    self._seen[name] = self._seen.get(name, 0) + 1
        with contextlib.suppress(BlockingIOError):
            while True:
                self._udp.recv(65_536)
                self._seen["UDP"] = self._seen.get("UDP", 0) + 1
        names = ("TCP", "UDP", "abstract socket", "socket file")
        return {f"arrived by {name}": str(self._seen.get(name, 0)) for name in names}

    def _ipc_state(self) -> dict[str, str]:
        """Return what exists under the world's key and mark between processes."""
        state = {}
        for kind in ("shm", "msg", "sem"):
            try:
                lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()
            except OSError:  # a kernel without them
                continue
            # The first columns: key, id, permissions, sizes, who used it last.
            found = [line.split()[:6] for line in lines if line.split()[0] == str(self._key)]
            state[f"System V {kind}"] = str(found)
        number = _SYS_MQ_OPEN.get(os.uname().machine)
        if number is not None:
            queue = _libc.syscall(number, self.mark.encode(), os.O_RDONLY, 0, None)
            state["message queue"] = "absent" if queue < 0 else "present"
            if queue >= 0:
                os.close(queue)
        return state

    def _processes(self) -> tuple[set[int], set[int]]:
        """Return our descendants, and all processes that run as a zygote of ours was started.

        The latter include orphans: a forked copy keeps the command line, and no two zygotes share
        theirs.
        """
        parents, lines = {}, {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                line = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if fields[0] not in "ZX":
                parents[int(name)], lines[int(name)] = int(fields[1]), line
        family = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        family.remove(os.getpid())
        self._zygotes |= {lines[pid] for pid in family if BOOT.encode() in lines[pid]}
        return family, {pid for pid, line in lines.items() if line in self._zygotes}


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a line for each difference between two states of a world."""
    return [
        f"{name}: {before.get(name, 'absent')} became {after.get(name, 'absent')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _listeners() -> tuple[socket.socket, socket.socket]:
    """Return a TCP and a UDP socket on one port of the loopback."""
    while True:
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        tcp.bind(("127.0.0.1", 0))
        try:
            udp.bind(tcp.getsockname())
        except OSError:  # another's UDP port; try the next number
            tcp.close()
            udp.close()
            continue
        tcp.listen()
        tcp.setblocking(False)
        udp.setblocking(False)
        return tcp, udp


def _listen_unix(address: str) -> socket.socket:
    with contextlib.ExitStack() as made:
        listener = made.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(address)  # fails for a path of more than 107 bytes
        listener.listen()
        listener.setblocking(False)
        made.pop_all()
        return listener


def _status(pid: int | str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _of_process(pid: int) -> dict[str, str]:
    """Return what one process can change of another that it may not."""
    import resource  # Windows has none

    status = _status(pid)
    limits = {
        name: resource.prlimit(pid, getattr(resource, name))
        for name in dir(resource)
        if name.startswith("RLIMIT_")
    }
    return {
        "name": status["Name"],
        "traced by": status["TracerPid"],
        "processors": status["Cpus_allowed_list"],
        "limits": str(limits),
        "nice": str(os.getpriority(os.PRIO_PROCESS, pid)),
        "scheduling": str(os.sched_getscheduler(pid)),
    }


def _of_file(path: Path) -> str:
    info = path.lstat()
    facts = [
        oct(info.st_mode),
        f"owner {info.st_uid}:{info.st_gid}",
        f"{info.st_nlink} links",
        f"modified {info.st_mtime_ns}",
        f"attributes {os.listxattr(path, follow_symlinks=False)}",
    ]
    if stat.S_ISREG(info.st_mode):
        facts.append(f"holds {path.read_bytes()[:100]!r}")
    elif stat.S_ISLNK(info.st_mode):
        facts.append(f"to {os.readlink(path)}")
    return ", ".join(facts)
