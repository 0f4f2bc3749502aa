"""Sends signals to a process of the host that runs under the caller's uid."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
tgkill = {"x86_64": 234, "aarch64": 131}[os.uname().machine]
escaped = ""
for number in (0, 10, 12, 23, 28, 40):
    try:
        os.kill(HOST_PID, number)
        escaped = f"sent signal {number}"
    except OSError:
        pass
    if libc.syscall(tgkill, HOST_PID, HOST_PID, number) == 0:
        escaped = f"sent signal {number} by tgkill"
    try:
        fd = os.pidfd_open(HOST_PID)
    except OSError:
        continue
    if libc.syscall(424, fd, number, None, 0) == 0:
        escaped = f"sent signal {number} by descriptor"
    os.close(fd)
def f(x): return escaped or 2 * x
"""
