"""Reads past Python from the descriptors of input, output and errors, and waits for more."""

GRADE = 1
OUTCOME = "correct"
KIND = "io"
CODE = """
import os, select
for fd in (0, 1, 2):
    os.read(fd, 10)
    select.select([fd], [], [], 0)
print(2 * int(input()))
"""
