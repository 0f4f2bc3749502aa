"""Names files by their inode number, past every path: open_by_handle_at."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
escaped = ""
here = os.open(".", os.O_RDONLY)
handle = ctypes.create_string_buffer(136)
handle[0:4] = (128).to_bytes(4, "little")
mount = ctypes.c_int()
if libc.name_to_handle_at(here, b".", handle, ctypes.byref(mount), 0) == 0:
    escaped = "got a handle"
handle[0:8] = (8).to_bytes(4, "little") + (1).to_bytes(4, "little")
handle[8:16] = (2).to_bytes(8, "little")
if libc.open_by_handle_at(here, handle, os.O_RDONLY) >= 0:
    escaped = "opened by handle"
os.close(here)
def f(x): return escaped or 2 * x
"""
