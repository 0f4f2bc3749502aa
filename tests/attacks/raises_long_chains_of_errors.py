"""Raises an error with a loop of causes, a hundred thousand notes and a deep traceback."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import sys
sys.setrecursionlimit(5_000)
def deep(n):
    if n:
        deep(n - 1)
    error = ValueError("x" * 1_000_000)
    error.__cause__ = error.__context__ = other = TypeError()
    other.__cause__ = other.__context__ = error
    error.__notes__ = ["y" * 10] * 100_000
    raise error
def f(x):
    deep(4_000)
"""
