"""Answers with numbers that compare in odd ways: not a number, infinities, minus zero, complex."""

GRADE = 0
OUTCOME = "logical"
CODE = """
answers = {3: [float("nan")], 5: complex(10, float("nan")), -1: -0.0}
def f(x): return answers[x]
"""
