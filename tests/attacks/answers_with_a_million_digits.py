"""Answers with a number too long to be written out in decimal."""

GRADE = 0
OUTCOME = "logical"
CODE = """
def f(x):
    return 1 << 3_500_000
"""
