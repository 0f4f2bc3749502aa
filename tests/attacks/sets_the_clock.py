"""Sets the machine's clock, by calls that change nothing if they work."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
set_time = {"x86_64": 164, "aarch64": 170}[os.uname().machine]
impossible_tick = ctypes.create_string_buffer(208)
impossible_tick[0:4] = (0x4000).to_bytes(4, "little")
escaped = "set the clock" if libc.syscall(set_time, None, None) == 0 else ""
if libc.adjtimex(impossible_tick) >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
    escaped = "may adjust the clock"
def f(x): return escaped or 2 * x
"""
