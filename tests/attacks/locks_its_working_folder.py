"""Takes all rights from the folder it works in, where the grader must clear up."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
os.mkdir("d")
try:
    os.chmod(".", 0)
except OSError:
    pass
def f(x): return 2 * x
"""
