"""Sends a hundred thousand opening brackets."""

GRADE = 0
OUTCOME = "refused"
CODE = r"""
import os
for fd in range(3, 64):
    try:
        os.write(fd, b"[" * 100_000 + b"\n")
    except OSError:
        pass
def f(x): return 2 * x
"""
