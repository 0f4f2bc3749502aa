"""Replaces the input and the output of the grader with its own, which know no answer."""

GRADE = 0
OUTCOME = "logical"
KIND = "io"
CODE = r"""
import builtins, io, sys
builtins.input = lambda *args: "0"
sys.stdin = io.StringIO("0\n")
sys.stdout = sys.__stdout__ = io.StringIO()
print(2 * int(input()))
"""
