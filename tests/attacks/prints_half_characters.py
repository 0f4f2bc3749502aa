"""Prints the right answer, text that cannot be written as UTF-8, and control characters."""

GRADE = 0
OUTCOME = "logical"
KIND = "io"
CODE = r"""
print(2 * int(input()), "\ud800\x00\x1b[2J\u2028\x85\x0c")
"""
