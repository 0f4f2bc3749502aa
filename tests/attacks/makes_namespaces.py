"""Makes namespaces of its own, in which it would be root: unshare, clone, clone3."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
escaped = ""
for flag in (0x10000000, 0x10020000, 0x40000000, 0x20000000, 0x80, 0x02000000):
    if libc.unshare(flag) == 0:
        escaped = f"made namespaces {flag:#x}"
number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
for result in (libc.syscall(number, 0x10000000 | 17, 0, 0, 0, 0),
               libc.syscall(435, (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, 17), 64)):
    if result == 0:
        os._exit(0)
    if result > 0:
        escaped = "made a process in a namespace of its own"
def f(x): return escaped or 2 * x
"""
