"""Makes children for its zygote, and a process whose end sends SIGKILL to its parent."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os, time
libc = ctypes.CDLL(None)
number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
for flags in (0x8000 | 17, 0x8000 | 9, 0):
    if libc.syscall(number, flags, 0, 0, 0, 0) == 0:
        time.sleep(20 if flags == 0x8000 | 17 else 0)
        os._exit(9)
def f(x): return 2 * x
"""
