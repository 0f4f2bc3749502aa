"""Answers with generators, coroutines and functions that would give the right answer."""

GRADE = 0
OUTCOME = "logical"
CODE = """
import sys
async def later(x): return 2 * x
answers = {3: (n for n in [6]), 5: lambda: 10, -1: sys}
def f(x):
    if x == 5:
        waiting = later(x)
        waiting.close()
        return [waiting, memoryview(b"10"), bytearray(b"10"), range(10), int]
    return answers[x]
"""
