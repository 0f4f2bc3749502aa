"""Hangs an extended attribute on a file of the host; older and newer system call."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
escaped = ""
for path in (HOST_FILE, HOST_FOLDER):
    try:
        os.setxattr(path, "user.mark", b"here")
        escaped = "set an attribute"
    except OSError:
        pass
value = ctypes.create_string_buffer(b"here")
args = (ctypes.c_uint64 * 2)(ctypes.addressof(value), 4)
if ctypes.CDLL(None).syscall(463, -100, HOST_FILE.encode(), 0, b"user.mark", args, 16) == 0:
    escaped = "set an attribute by setxattrat"
def f(x): return escaped or 2 * x
"""
