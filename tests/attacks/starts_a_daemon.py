"""Forks twice, starts a session of its own, and stays."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os, time
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 64)
            time.sleep(20)
        os._exit(0)
except OSError:
    pass
def f(x): return 2 * x
"""
