"""Prints the right answer and ends its process at once, so that no later check can run."""

GRADE = 0
OUTCOME = "runtime"
KIND = "io"
CODE = r"""
import os, sys
print(2 * int(input()), flush=True)
sys.__stdout__.write("6\n")
os.write(1, b"6\n")
os._exit(0)
"""
