"""Answers with a set whose members all have one hash."""

GRADE = 0
OUTCOME = ("timeout", "logical")
CODE = """
def f(x):
    return {i * (2**61 - 1) for i in range(2_000)}
"""
