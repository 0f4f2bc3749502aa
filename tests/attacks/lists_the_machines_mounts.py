"""Asks the kernel for the machine's mounts: listmount, statmount, and the file of them."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes
libc = ctypes.CDLL(None)
escaped = ""
for path in ("/proc/self/mounts", "/proc/mounts", "/etc/mtab"):
    try:
        escaped = "read " + open(path).read()[:100]
    except OSError:
        pass
request = (ctypes.c_uint64 * 4)(24, 0xFFFFFFFFFFFFFFFF)
found = (ctypes.c_uint64 * 64)()
count = libc.syscall(458, request, found, 64, 0)
if count > 0:
    escaped = f"listed {count} mounts"
def f(x): return escaped or 2 * x
"""
