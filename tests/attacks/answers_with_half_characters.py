"""Answers with, prints and raises text that cannot be written as UTF-8."""

GRADE = 0
OUTCOME = "logical"
CODE = r"""
import sys
def f(x):
    print("\ud800", "\x00", file=sys.stdout)
    print("\udfff", file=sys.stderr)
    if x == 3:
        return "6\ud800"
    return {"\udcff": ["\x00", b"\xff\x00"]}
"""
