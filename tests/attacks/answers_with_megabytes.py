"""Answers with more than a reply may hold."""

GRADE = 0
OUTCOME = "logical"
CODE = """
def f(x):
    return {3: "x" * 5_000_000, 5: [0] * 500_000, -1: b"x" * 5_000_000}[x]
"""
