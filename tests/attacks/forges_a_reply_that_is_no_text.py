"""Sends bytes that are no line of the protocol at all."""

GRADE = 0
OUTCOME = "refused"
CODE = r"""
import os
for fd in range(3, 64):
    try:
        os.write(fd, b"\xff\xfe\x00[[[[\n" + b'{"a":' * 50 + b"\n\x00\n")
    except OSError:
        pass
def f(x): return 2 * x
"""
