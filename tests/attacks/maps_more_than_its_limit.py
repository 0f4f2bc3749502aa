"""Maps memory past the allocator, shared and private, and locks it in place."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, mmap
escaped = ""
private, shared = mmap.MAP_PRIVATE, mmap.MAP_SHARED
for flags in (private, shared, private | 0x4000, shared | 0x40000):
    try:
        mmap.mmap(-1, 1 << 34, flags | mmap.MAP_ANONYMOUS).close()
        escaped = "mapped 16 GB"
    except (OSError, ValueError):
        pass
if ctypes.CDLL(None).mlockall(3) == 0:
    escaped = "locked its memory"
def f(x): return escaped or 2 * x
"""
