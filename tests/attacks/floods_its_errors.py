"""Writes errors without end, after the right answer."""

GRADE = 0
OUTCOME = "timeout"
KIND = "io"
CODE = """
import sys
print(2 * int(input()))
while True:
    sys.stderr.write("x" * 10_000)
"""
