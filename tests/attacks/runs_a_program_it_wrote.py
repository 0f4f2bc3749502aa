"""Writes a program, to a file and to memory alone, and executes it."""

GRADE = 1
OUTCOME = "correct"
CODE = r"""
import os
escaped = ""
text = b"#!/bin/sh\nexit 0\n"
try:
    fd = os.memfd_create("program")
    escaped = "made a file in memory"
    os.write(fd, text)
    os.execve(fd, ["program"], {})
except OSError:
    pass
with open("program", "wb") as file:
    file.write(text)
for start in (lambda: os.chmod("program", 0o700),
              lambda: os.execv("./program", ["program"]),
              lambda: os.execve(os.open("program", os.O_RDONLY), ["program"], {})):
    try:
        start()
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
