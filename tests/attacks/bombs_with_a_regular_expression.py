"""Matches an expression that tries all ways to split a text."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import re
def f(x):
    return re.match("(a+)+b", "a" * 60)
"""
