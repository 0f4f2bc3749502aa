"""Leaves files named by line ends, options, bytes that are no text, and the longest name."""

GRADE = 1
OUTCOME = "correct"
CODE = r"""
import os
for name in (b"\n", b"-rf", b"--", b" ", b"\xff\xfe", b"*", b"$(id)", b"..." , b"a" * 255,
             b"\x1b[2J", "\u202e".encode(), b"\x7f", b";"):
    os.mkdir(name)
    open(name + b"/" + name, "w").close()
def f(x): return 2 * x
"""
