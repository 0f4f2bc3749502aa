"""Calls itself until its memory is full, with Python's own limit taken away."""

GRADE = 0
OUTCOME = ("memory", "timeout")
NEEDS = ("rlimits",)
CODE = """
import sys
sys.setrecursionlimit(10**9)
def f(x):
    return f(x)
"""
