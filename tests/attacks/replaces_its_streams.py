"""Closes, removes and replaces its streams with objects that raise."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import sys
class Stream:
    def __getattr__(self, name): raise ValueError("no stream")
    def write(self, text): raise ValueError("no stream")
def f(x):
    sys.stdout.close()
    sys.stdin.close()
    for name in ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"):
        setattr(sys, name, Stream() if x == 3 else None)
    return 2 * x
"""
