"""Leaves its file tree: chroot, pivot_root, and the double dot past the root."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
escaped = ""
try:
    os.mkdir("jail")
    os.chroot("jail")
    escaped = "changed its root"
except OSError:
    pass
if libc.syscall({"x86_64": 155, "aarch64": 41}[os.uname().machine], b".", b".") == 0:
    escaped = "pivoted its root"
place = os.open("/", os.O_PATH)
for _ in range(30):
    above = os.open("..", os.O_PATH, dir_fd=place)
    os.close(place)
    place = above
    try:
        os.close(os.open(HOST_FILE[1:], os.O_RDONLY, dir_fd=place))
        escaped = "climbed out"
    except OSError:
        pass
os.close(place)
def f(x): return escaped or 2 * x
"""
