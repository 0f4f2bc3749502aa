"""Nests objects so deep that freeing and comparing them overflows the stack of C."""

GRADE = 0
OUTCOME = ("runtime", "memory")
CODE = """
import sys
sys.setrecursionlimit(10**9)
def f(x):
    nested = ()
    for _ in range(200_000):
        nested = (nested, None)
    other = ()
    for _ in range(200_000):
        other = (other, None)
    return nested == other
"""
