"""Forks, so that two processes go on with the grader's own code and answer twice."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
try:
    os.fork()
except OSError:
    pass
def f(x): return 2 * x
"""
