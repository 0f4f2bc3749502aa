"""Empties the table of modules, which the grader looks into for the next case."""

GRADE = "1/3"
OUTCOME = "runtime"
CODE = """
import sys
def f(x):
    sys.modules.clear()
    sys.meta_path.clear()
    return 2 * x
"""
