"""Sets the times of a file of the host."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for how in ({"times": (0, 0)}, {"times": None}, {"ns": (1, 1), "follow_symlinks": False}):
    try:
        os.utime(HOST_FILE, **how)
        escaped = "changed the times"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
