"""Calls the kernel by the numbers of the x32 interface, which a filter may not have in its list."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
escaped = ""
if os.uname().machine == "x86_64":
    for number in (39, 2, 59, 41, 520, 521):
        if libc.syscall(0x40000000 | number, 0, 0, 0) >= 0:
            escaped = f"x32 call {number} was answered"
def f(x): return escaped or 2 * x
"""
