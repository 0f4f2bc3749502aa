"""Filters on system calls, by seccomp: what the kernel will not do for a student's program.

Covered: Linux on x86-64 and aarch64. Not covered: other machines, where nothing is installed and
the layer is not named. Runs in the zygote: only the standard library, and little of it.
"""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Which column of the table holds a machine's numbers, and how the kernel calls it."""

# What a Python program and the zygote need, by its numbers on x86-64 and aarch64. Left out on
# purpose: execve, socket, connect, ptrace, process_vm_*, chown, utime, xattr, mount, namespaces,
# keys, bpf, io_uring, perf, userfaultfd. The zygote needs chmod to clear up; see `confine_child`.
# fmt: off
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None),
    "fstat": (5, 80), "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66), "access": (21, None),
    "pipe": (22, None), "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216),
    "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None), "pause": (34, None),
    "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, None), "setitimer": (38, 103),
    "getpid": (39, 172), "sendto": (44, 206), "recvfrom": (45, 207), "recvmsg": (47, 212),
    "shutdown": (48, 210), "getsockname": (51, 204), "getpeername": (52, 205),
    "socketpair": (53, 199), "getsockopt": (55, 209), "fork": (57, None), "vfork": (58, None),
    "exit": (60, 93), "wait4": (61, 260), "kill": (62, 129), "uname": (63, 160),
    "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83),
    "truncate": (76, 45), "ftruncate": (77, 46), "getdents": (78, None), "getcwd": (79, 17),
    "chdir": (80, 49), "fchdir": (81, 50), "rename": (82, None), "mkdir": (83, None),
    "rmdir": (84, None), "creat": (85, None), "link": (86, None), "unlink": (87, None),
    "symlink": (88, None), "readlink": (89, None), "chmod": (90, None), "fchmod": (91, 52),
    "umask": (95, 166), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165),
    "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "setpgid": (109, 154), "getppid": (110, 173),
    "getpgrp": (111, None), "setsid": (112, 157), "getgroups": (115, 158),
    "getresuid": (118, 148), "getresgid": (120, 150), "getpgid": (121, 155), "getsid": (124, 156),
    "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132), "statfs": (137, 43), "fstatfs": (138, 44),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120), "arch_prctl": (158, None),
    "gettid": (186, 178), "time": (201, None), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "epoll_wait": (232, None), "epoll_ctl": (233, 21), "tgkill": (234, 131), "waitid": (247, 95),
    "openat": (257, 56), "mkdirat": (258, 34), "newfstatat": (262, 79), "unlinkat": (263, 35),
    "renameat": (264, 38), "linkat": (265, 37), "symlinkat": (266, 36), "readlinkat": (267, 78),
    "fchmodat": (268, 53), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "set_robust_list": (273, 99), "get_robust_list": (274, 100), "epoll_pwait": (281, 22),
    "eventfd2": (290, 19), "epoll_create1": (291, 20), "dup3": (292, 24), "pipe2": (293, 59),
    "getrandom": (318, 278), "membarrier": (324, 283), "copy_file_range": (326, 285),
    "statx": (332, 291), "rseq": (334, 293), "pidfd_open": (434, 434), "close_range": (436, 436),
    "faccessat2": (439, 439),
}
# fmt: on
# Allowed by what their arguments are.
_IOCTL, _CLONE, _PRCTL, _PRLIMIT, _CLONE3 = (16, 29), (56, 220), (157, 167), (302, 261), (435, 435)
_FCNTL, _EXECVE = (72, 25), (59, 221)
_CHMODS, _SIGNALS, _FORKS = ("chmod", "fchmod", "fchmodat"), ("kill", "tgkill"), ("fork", "vfork")
_NEW_NAMESPACE, _THREAD = 0x7E020080, 0x00010000  # flags of clone
_IOCTLS = (0x5401, 0x5450, 0x5451, 0x5421)  # is it a terminal; inheritable or not; blocking or not
# Commands of fcntl that change a file for others, or have signals sent in this process's name:
# SETOWN SETSIG SETOWN_EX SETLEASE NOTIFY SET_RW_HINT SET_FILE_RW_HINT.
_FCNTLS = (8, 10, 15, 1024, 1026, 1036, 1038)
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24  # where they lie in a call's record


def allow_listed_calls(*, exec_too: bool = False) -> bool:
    """Allow the listed system calls; every other one fails with EPERM. Say whether it worked.

    `exec_too`: allow starting another program, for languages whose interpreter is one.
    """
    machine = _machine()
    if machine is None:
        return False
    column, _ = machine
    program = [
        (_EQUAL, 0, 1, _CLONE3[column]),
        (_RETURN, 0, 0, _ENOSYS),  # its flags lie in memory, unseen; libc falls back to clone
        (_EQUAL, 0, 4, _CLONE[column]),
        (_LOAD, 0, 0, _ARGUMENT_0),  # its flags
        (_ANY_BIT, 0, 1, _NEW_NAMESPACE),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 4, _PRCTL[column]),
        (_LOAD, 0, 0, _ARGUMENT_0),
        (_EQUAL, 0, 1, _PR_SET_SECCOMP),  # a further filter can only forbid more
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EPERM),
        (_EQUAL, 0, 4, _PRLIMIT[column]),
        (_LOAD, 0, 0, _ARGUMENT_0),  # whose limits
        (_EQUAL, 0, 1, 0),  # its own: never the zygote's, which the next child inherits
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EPERM),
        (_EQUAL, 0, 2 + 2 * len(_IOCTLS), _IOCTL[column]),
        (_LOAD, 0, 0, _ARGUMENT_1),  # its request
    ]
    for request in _IOCTLS:
        program += [(_EQUAL, 0, 1, request), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _EPERM))
    program += [(_EQUAL, 0, 2 + 2 * len(_FCNTLS), _FCNTL[column]), (_LOAD, 0, 0, _ARGUMENT_1)]
    for command in _FCNTLS:
        program += [(_EQUAL, 0, 1, command), (_RETURN, 0, 0, _EPERM)]
    program.append((_RETURN, 0, 0, _ALLOW))
    allowed = _numbers(_CALLS, column) + ([_EXECVE[column]] if exec_too else [])
    for number in allowed:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _EPERM))
    return _install(program)


def confine_child() -> bool:
    """Allow no new process, only threads; no chmod; signals to itself alone.

    For a child that shares its caller's uid. Without a process namespace the zygote has no means
    then to find and end all that a program started, and the caller's own processes are in reach;
    without a file tree of its own the caller's files are: Landlock does not cover chmod, and
    signals only since its version 6.
    """
    machine = _machine()
    if machine is None:
        return False
    column, _ = machine
    program = []
    for number in _numbers((*_CHMODS, *_FORKS), column):
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)]
    for number in _numbers(_SIGNALS, column):
        program += [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _ARGUMENT_0),  # to whom
            (_EQUAL, 0, 1, os.getpid()),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _EPERM),
        ]
    program += [
        (_EQUAL, 0, 3, _CLONE[column]),
        (_LOAD, 0, 0, _ARGUMENT_0),
        (_ANY_BIT, 1, 0, _THREAD),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return _install(program)


def _machine() -> tuple[int, int] | None:
    return _MACHINES.get(os.uname().machine) if sys.maxsize > 1 << 32 else None


def _numbers(names: Iterable[str], column: int) -> list[int]:
    numbers = (_CALLS[name][column] for name in names)
    return [number for number in numbers if number is not None]


def _install(body: list[tuple[int, int, int, int]]) -> bool:
    """Install a filter; its lines are (code, jump if true, jump if false, value).

    Jumps count from the next line. Before the body, the number of the call is loaded.
    """
    machine = _machine()
    if machine is None:
        return False
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine[1]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *body,
    ]
    raw = b"".join(
        code.to_bytes(2, "little") + bytes((true, false)) + value.to_bytes(4, "little")
        for code, true, false, value in program
    )

    class _Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    filter_ = ctypes.byref(_Program(len(program), raw))
    return bool(ctypes.CDLL(None).prctl(_PR_SET_SECCOMP, _MODE_FILTER, filter_, 0, 0) == 0)
