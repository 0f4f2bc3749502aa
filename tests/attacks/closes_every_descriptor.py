"""Closes all its descriptors, the grader's socket among them."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import os
os.closerange(0, 64)
def f(x): return 2 * x
"""
