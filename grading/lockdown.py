"""The layers of isolation a zygote puts on before it runs anything of a student's.

Covered, on Linux, each installed where the system allows it and named in the result:
    pid, net, ipc, uts, mount   namespaces; the zygote is process 1, its file tree holds the
                                interpreter's library and an empty working folder, nothing else
    user                        a user namespace, where the caller may not make the others without
    uid                         a uid of its own, where the caller is root
    no_new_privs, rlimits       no set-uid programs; memory, file size, open files, no core dumps
    processes                   a limit on processes and threads, which needs uid or user
    landlock                    no file outside the library and the working folder
    seccomp                     an allow-list of system calls (seccomp.py)

Not covered: refusing to grade when a layer is missing (rungs.py).
Runs in the zygote: only the standard library, and little of it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from novicegym.grading import seccomp  # else the zygote puts it here

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_SYS_LANDLOCK = 444  # create_ruleset; add_rule and restrict_self follow; the same everywhere
# No system gives these to anybody; where a container maps fewer, systemd's transient users.
_UIDS = ((1_900_000_000, 200_000_000), (61_184, 4_000))
_UID_TRIES = 5
_NEW_ROOT = "/dev/shm"
_WORK = "/sandbox"
_INTERPRETER_THREADS = 32

_libc = ctypes.CDLL(None, use_errno=True)


def lock_down(
    wanted: frozenset[str],
    memory_mb: int,
    processes: int,
    work: str,
    program: tuple[str, ...],
) -> list[str]:
    """Install every wanted layer the system allows; return their names. The working folder is `.`.

    `processes` is how many a submission may start, `work` the folder to use where there is no
    private file tree; `program` names the files, first an executable, of an interpreter that is
    to be started for every submission: () for this one, which forks.
    """
    sys.stdout.flush()
    machine = os.uname().machine
    layers = _namespaces(wanted)
    if "mount" in layers:
        try:
            _private_tree(machine, program)
            work = _WORK
        except OSError:
            layers.remove("mount")
    uid = _free_uid(work) if "uid" in wanted and os.geteuid() == 0 and "user" not in layers else 0
    if uid:
        os.chown(work, uid, uid)
        _change_uid(uid)
        layers.append("uid")
    os.chdir(work)
    _drop_capabilities(machine)
    if "pid" in layers:
        # Dies with the outer process, the parent: where that is the supervisor, the order would
        # hold for its thread alone. Only now: a change of uid takes the order back.
        _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if "no_new_privs" in wanted and _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        layers.append("no_new_privs")
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if "rlimits" in wanted:
        _limit_resources(memory_mb, address_space=not program)
        layers.append("rlimits")
        # The zygote, its child, and in a user namespace the outer process, too. With the caller's
        # own uid, his processes would count.
        own = 3 if "user" in layers else 2
        if uid or ("user" in layers and _processes_are_limited(own)):  # a free uid was tried out
            most = own + processes + (_INTERPRETER_THREADS if program else 0)
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
            layers.append("processes")
    if "landlock" in wanted and _landlock(work, program):
        layers.append("landlock")
    if "seccomp" in wanted and seccomp.allow_listed_calls(exec_too=bool(program)):
        layers.append("seccomp")
    return layers


def _check(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


_NAMESPACES = {"pid": _NEWPID, "net": _NEWNET, "ipc": _NEWIPC, "uts": _NEWUTS, "mount": _NEWNS}


def _namespaces(wanted: frozenset[str]) -> list[str]:
    """Enter new namespaces and fork, so that the zygote goes on as process 1 of its own."""
    names = [name for name in _NAMESPACES if name in wanted]
    flags = sum(_NAMESPACES[name] for name in names)
    if not names:
        return []
    if not _works(lambda: _unshare(flags)):
        flags |= _NEWUSER
        if not _works(lambda: _unshare(flags)):
            return []
    _unshare(flags)
    pid = os.fork()
    if pid:
        # The outer process only stands for the zygote in its supervisor's process table.
        os.closerange(0, 256)
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    return names + (["user"] if flags & _NEWUSER else [])


def _works(step: Callable[[], None]) -> bool:
    """Try a step in a copy of this process: half of it may be allowed, and there is no way back."""
    try:
        pid = os.fork()
    except BlockingIOError:  # no process more
        return False
    if pid == 0:
        try:
            step()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def _free_uid(work: str) -> int:
    """Return a uid to take on that reaches the folder and that nobody else has; 0 for none."""
    for first, count in _UIDS:
        for _ in range(_UID_TRIES):
            uid = first + int.from_bytes(os.urandom(4), "big") % count

            def alone(uid: int = uid) -> None:
                _change_uid(uid)
                os.stat(work)
                if not _processes_are_limited(2):
                    raise OSError(f"uid {uid} has processes elsewhere")

            if _works(alone):
                return uid
    return 0


def _change_uid(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _unshare(flags: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(flags), "unshare")
    if flags & _NEWUSER:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None) -> None:
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            None if data is None else data.encode(),
        ),
        f"mount {target}",
    )


def _private_tree(machine: str, program: tuple[str, ...]) -> None:
    """Make a file tree of the library, shared objects and a working folder, and move into it."""
    if machine not in _SYS_PIVOT_ROOT:
        raise OSError(f"no system call number of pivot_root for {machine}")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE, None)
    _mount("tmpfs", _NEW_ROOT, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path in _library_folders():
        os.makedirs(_NEW_ROOT + path, 0o755, exist_ok=True)
        _mount(path, _NEW_ROOT + path, None, _MS_BIND | _MS_REC, None)
        _read_only(_NEW_ROOT + path)
    for path in _hidden_folders():
        _mount("tmpfs", _NEW_ROOT + path, "tmpfs", _MS_RDONLY | _MS_NOSUID | _MS_NODEV, "size=4k")
    for path in ("/dev/null", "/dev/urandom", *program):
        os.makedirs(os.path.dirname(_NEW_ROOT + path), 0o755, exist_ok=True)
        os.close(os.open(_NEW_ROOT + path, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(path, _NEW_ROOT + path, None, _MS_BIND, None)
    for path in program:
        _read_only(_NEW_ROOT + path)
    os.mkdir(_NEW_ROOT + _WORK)
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("tmpfs", _NEW_ROOT + _WORK, "tmpfs", flags, "size=16m,nr_inodes=2k,mode=700")
    os.mkdir(_NEW_ROOT + "/old")
    new, old = _NEW_ROOT.encode(), f"{_NEW_ROOT}/old".encode()
    _check(_libc.syscall(_SYS_PIVOT_ROOT[machine], new, old), "pivot_root")
    os.chdir("/")
    _check(_libc.umount2(b"/old", _MNT_DETACH), "umount")
    os.rmdir("/old")
    _read_only("/")


def _read_only(path: str) -> None:
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    # A mount that the system locked for a user namespace keeps its flags; Landlock still holds.
    _libc.mount(b"none", path.encode(), None, ctypes.c_ulong(flags), None)


def _library_folders() -> list[str]:
    """Return the folders a program may read: the standard library and the shared objects."""
    standard = os.path.dirname(os.path.realpath(os.__file__))
    shared = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo"]
    folders: list[str] = []
    for path in [*shared, standard]:
        if os.path.isdir(path) and not any(path.startswith(f + "/") for f in folders):
            folders.append(path)
    return folders


def _hidden_folders() -> list[str]:
    """Return the folders within those where packages lie, ours with its answers among them."""
    standard = os.path.dirname(os.path.realpath(os.__file__))
    names = ("site-packages", "dist-packages")
    folders = [f"{path}/{name}" for path in (standard, "/usr/lib/python3") for name in names]
    readable = tuple(f"{path}/" for path in _library_folders())
    return [path for path in folders if path.startswith(readable) and os.path.isdir(path)]


def _drop_capabilities(machine: str) -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if machine in _SYS_CAPSET:
        _libc.syscall(_SYS_CAPSET[machine], header, nothing)


def _limit_resources(memory_mb: int, *, address_space: bool) -> None:
    if address_space:  # an interpreter with a just-in-time compiler reserves far more than it uses
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    for name, value in (
        (resource.RLIMIT_DATA, memory_mb << 20),
        (resource.RLIMIT_FSIZE, 8 << 20),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(name, (value, value))


def _processes_are_limited(own: int) -> bool:
    """Whether a limit to `own` processes leaves room for a child of this one, and for no other.

    It does not bind root, whatever his name is in a user namespace; and it counts the caller's
    own processes in a user namespace of his before Linux 5.14.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (own, hard))
    limited = _works(_start_none)
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
    return limited


def _start_none() -> None:
    """Raise OSError where a process can be started."""
    try:
        pid = os.fork()
    except BlockingIOError:
        return
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    raise OSError("there is no limit on processes")


def _landlock(work: str, program: tuple[str, ...]) -> bool:
    """Let the process reach the library for reading, and its working folder; nothing else."""
    version = _libc.syscall(_SYS_LANDLOCK, None, 0, 1)
    if version < 1:
        return False
    rights = (1 << 13) - 1
    rights |= (1 << 13) * (version >= 2) | (1 << 14) * (version >= 3) | (1 << 15) * (version >= 5)
    net = 3 * (version >= 4)
    scoped = 3 * (version >= 6)
    size = 8 + 8 * (version >= 4) + 8 * (version >= 6)
    ruleset = _libc.syscall(_SYS_LANDLOCK, (ctypes.c_uint64 * 3)(rights, net, scoped), size, 0)
    if ruleset < 0:
        return False
    read = 1 << 2
    execute = 1 << 0 if program else 0
    for path in _library_folders():
        _allow_library(ruleset, path, execute | read)
    for path in program:
        _allow_path(ruleset, path, execute | read)
    for path in ("/dev/null", "/dev/urandom"):
        _allow_path(ruleset, path, read | (1 << 1 if path == "/dev/null" else 0))
    special = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 0 | 1 << 15  # devices, sockets, exec
    _allow_path(ruleset, work, rights & ~special)
    installed = _libc.syscall(_SYS_LANDLOCK + 2, ruleset, 0) == 0
    os.close(ruleset)
    return bool(installed)


def _allow_library(ruleset: int, path: str, rights: int) -> None:
    """Allow a folder with all below it but the hidden ones, of which the names can be listed."""
    hidden = _hidden_folders()
    if path in hidden:
        return
    if any(folder.startswith(path + "/") for folder in hidden):
        _allow_path(ruleset, path, 1 << 3)
        for name in os.listdir(path):
            _allow_library(ruleset, f"{path}/{name}", rights)
    else:
        _allow_path(ruleset, path, rights | (1 << 3 if os.path.isdir(path) else 0))


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    rule = rights.to_bytes(8, sys.byteorder) + folder.to_bytes(4, sys.byteorder)
    _libc.syscall(_SYS_LANDLOCK + 1, ruleset, 1, rule, 0)
    os.close(folder)
