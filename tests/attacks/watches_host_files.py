"""Asks to be told of all that happens in a folder of the host: inotify, fanotify, dnotify."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, fcntl, os
libc = ctypes.CDLL(None)
escaped = ""
if libc.inotify_init1(0) >= 0 or libc.fanotify_init(0x200, 0) >= 0:
    escaped = "may watch files"
try:
    fcntl.fcntl(os.open(HOST_FOLDER, os.O_RDONLY), fcntl.F_NOTIFY, 2)
    escaped = "watches the host's folder"
except OSError:
    pass
def f(x): return escaped or 2 * x
"""
