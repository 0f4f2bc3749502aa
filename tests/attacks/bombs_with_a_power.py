"""Computes a number of a hundred million digits."""

GRADE = 0
OUTCOME = ("timeout", "memory")
NEEDS = ("rlimits",)
CODE = """
def f(x):
    return 3 ** (3 ** (15 + x))
"""
