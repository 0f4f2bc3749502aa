"""Filters on system calls, by seccomp: what the kernel will not do for a student's program.

Covered: x86-64. Not covered: other machines, where nothing is installed and the layer is not named.
Runs in the zygote: only the standard library, and little of it.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ARCH_X86_64 = 0xC000003E

# x86-64 system call numbers a Python program and the zygote need. Left out on purpose: execve,
# socket, connect, ptrace, process_vm_*, chown, utime, xattr, mount, namespaces, keys, bpf,
# io_uring, perf, userfaultfd. The zygote needs chmod to clear up; see `confine_child`.
_ALLOWED = (
    *range(16),  # read write open close stat fstat lstat poll lseek mmap .. rt_sigreturn
    *(17, 18, 19, 20, 21, 22, 23, 24, 25, 28),  # pread .. pipe select sched_yield mremap madvise
    *(32, 33, 34, 35, 36, 37, 38, 39),  # dup dup2 pause nanosleep timers getpid
    *(44, 45, 47, 48, 51, 52, 53, 55),  # on sockets that are already there, and socketpair
    *(57, 58, 60, 61, 62, 63),  # fork vfork exit wait4 kill uname
    *(72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91),  # files
    *(95, 96, 97, 98, 99, 100, 102, 104, 107, 108, 109, 110, 111, 112),  # ids, usage, setsid
    *(115, 118, 120, 121, 124, 127, 128, 130, 131, 137, 138, 143, 145),
    *(158, 186, 201, 202, 204, 217, 218, 219, 221, 228, 229, 230, 231, 232, 233, 234, 247),
    *(257, 258, 262, 263, 264, 265, 266, 267, 268, 269, 270, 271, 273, 274, 281, 290, 291),
    *(292, 293, 318, 324, 326, 332, 334, 434, 436, 439),
)
_IOCTL, _CLONE, _FORK, _VFORK, _PRCTL, _PRLIMIT, _CLONE3 = 16, 56, 57, 58, 157, 302, 435
_CHMODS = (90, 91, 268)  # chmod fchmod fchmodat
_SIGNALS = (62, 234)  # kill tgkill
_NEW_NAMESPACE, _THREAD = 0x7E020080, 0x00010000  # flags of clone
_IOCTLS = (0x5401, 0x5450, 0x5451)  # is it a terminal; inheritable or not
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24  # where they lie in a call's record


def allow_listed_calls() -> bool:
    """Allow the listed system calls; every other one fails with EPERM. Say whether it worked."""
    program = [
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ENOSYS),  # its flags lie in memory, unseen; libc falls back to clone
        (_EQUAL, 0, 4, _CLONE),
        (_LOAD, 0, 0, _ARGUMENT_0),  # its flags
        (_ANY_BIT, 0, 1, _NEW_NAMESPACE),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 4, _PRCTL),
        (_LOAD, 0, 0, _ARGUMENT_0),
        (_EQUAL, 0, 1, _PR_SET_SECCOMP),  # a further filter can only forbid more
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EPERM),
        (_EQUAL, 0, 4, _PRLIMIT),
        (_LOAD, 0, 0, _ARGUMENT_0),  # whose limits
        (_EQUAL, 0, 1, 0),  # its own: never the zygote's, which the next child inherits
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EPERM),
        (_EQUAL, 0, 2 + 2 * len(_IOCTLS), _IOCTL),
        (_LOAD, 0, 0, _ARGUMENT_1),  # its request
    ]
    for request in _IOCTLS:
        program += [(_EQUAL, 0, 1, request), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _EPERM))
    for number in _ALLOWED:
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
    chmods = [((_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)) for number in _CHMODS]
    signals = [
        (
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _ARGUMENT_0),  # to whom
            (_EQUAL, 0, 1, os.getpid()),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _EPERM),
        )
        for number in _SIGNALS
    ]
    return _install(
        [
            *(line for group in (*chmods, *signals) for line in group),
            (_EQUAL, 1, 0, _FORK),
            (_EQUAL, 0, 1, _VFORK),
            (_RETURN, 0, 0, _EPERM),
            (_EQUAL, 0, 3, _CLONE),
            (_LOAD, 0, 0, _ARGUMENT_0),
            (_ANY_BIT, 1, 0, _THREAD),
            (_RETURN, 0, 0, _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    )


def _install(body: list[tuple[int, int, int, int]]) -> bool:
    """Install a filter; its lines are (code, jump if true, jump if false, value).

    Jumps count from the next line. Before the body, the number of the call is loaded.
    """
    if os.uname().machine != "x86_64" or sys.maxsize < 1 << 32:
        return False
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCH_X86_64),
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
