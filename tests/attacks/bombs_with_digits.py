"""Writes out a number of a million digits, with Python's limit on that taken away."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import sys
sys.set_int_max_str_digits(0)
def f(x):
    return len(str(1 << 4_000_000))
"""
