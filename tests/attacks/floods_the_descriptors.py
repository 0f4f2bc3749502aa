"""Writes megabytes past `print`: to the descriptors of output and errors, to Python's streams."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os, sys
for _ in range(50):
    for fd in (1, 2):
        os.write(fd, b"x" * 100_000)
    for stream in (sys.__stdout__, sys.__stderr__):
        stream.write("x" * 100_000)
        stream.flush()
    print("x" * 100_000)
    print("x" * 100_000, file=sys.stderr)
def f(x): return 2 * x
"""
