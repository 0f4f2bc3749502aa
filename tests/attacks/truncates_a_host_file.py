"""Cuts a file of the host to nothing, by path and by opening it for writing."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for cut in (lambda: os.truncate(HOST_FILE, 0), lambda: open(HOST_FILE, "w").close(),
            lambda: os.ftruncate(os.open(HOST_FILE, os.O_RDWR), 0)):
    try:
        cut()
        escaped = "truncated"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
