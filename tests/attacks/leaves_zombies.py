"""Starts processes that end at once and that nobody waits for, until it gets no more."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
try:
    for _ in range(100):
        if os.fork() == 0:
            os._exit(0)
except OSError:
    pass
def f(x): return 2 * x
"""
