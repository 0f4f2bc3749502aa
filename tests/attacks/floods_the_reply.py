"""Writes megabytes of junk to the socket that the grader listens to."""

GRADE = 0
OUTCOME = ("refused", "runtime", "timeout")
CODE = """
import os
junk = b"[" + b"7" * 1_000_000 + b"]"
for fd in range(3, 30):
    try:
        for _ in range(40):
            os.write(fd, junk)
    except OSError:
        pass
"""
