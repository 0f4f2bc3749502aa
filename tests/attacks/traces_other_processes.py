"""Attaches to its zygote and to the host's processes as a debugger does."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
seize = 0x4206  # which does not stop its target, should it work
escaped = ""
for pid in (os.getppid(), HOST_PID, HOST_SUPERVISOR):
    if libc.ptrace(seize, pid, None, None) == 0:
        escaped = f"traces {pid}"
if libc.ptrace(0, 0, None, None) == 0:
    escaped = "has its parent trace it"
def f(x): return escaped or 2 * x
"""
