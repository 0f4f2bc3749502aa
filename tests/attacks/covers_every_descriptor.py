"""Puts a pipe of its own in the place of every descriptor, so that replies go nowhere."""

GRADE = 0
OUTCOME = ("runtime", "timeout")
CODE = """
import os
r, w = os.pipe()
for fd in range(3, 64):
    if fd not in (r, w):
        os.dup2(w, fd)
def f(x): return 2 * x
"""
