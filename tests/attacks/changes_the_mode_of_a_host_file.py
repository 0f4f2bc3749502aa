"""Makes a file of the host unreadable: chmod, by path and by a path-only descriptor, fchmodat2."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
escaped = ""
libc = ctypes.CDLL(None)
for change in (lambda: os.chmod(HOST_FILE, 0),
               lambda: os.chmod("file", 0, dir_fd=os.open(HOST_FOLDER, os.O_PATH)),
               lambda: os.fchmod(os.open(HOST_FILE, os.O_RDONLY), 0)):
    try:
        change()
        escaped = "changed the mode"
    except OSError:
        pass
if libc.syscall(452, -100, HOST_FILE.encode(), 0, 0) == 0:
    escaped = "changed the mode by fchmodat2"
def f(x): return escaped or 2 * x
"""
