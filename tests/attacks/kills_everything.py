"""Sends SIGKILL to every process it may."""

GRADE = 1
OUTCOME = "correct"
NEEDS = ("pid", "uid", "seccomp")
CODE = """
import os
try:
    os.kill(-1, 9)
except OSError:
    pass
def f(x): return 2 * x
"""
