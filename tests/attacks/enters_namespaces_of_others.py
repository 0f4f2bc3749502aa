"""Enters the namespaces of other processes."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
escaped = ""
for pid in (os.getppid(), 1, HOST_PID, HOST_SUPERVISOR):
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        continue
    for flag in (0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        if libc.setns(fd, flag) == 0:
            escaped = f"entered namespace {flag:#x} of {pid}"
    os.close(fd)
def f(x): return escaped or 2 * x
"""
