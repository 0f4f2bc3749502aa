"""Makes itself traceable, a reaper of orphans, and deaf to its parent's end; changes its name."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes
libc = ctypes.CDLL(None)
for option, value in ((1, 0), (4, 1), (8, 1), (36, 1), (15, b"init"), (38, 0)):
    libc.prctl(option, value, 0, 0, 0)
libc.personality(0x0400000)
def f(x): return 2 * x
"""
