"""Raises SystemExit with codes that are no numbers, and other errors that end programs."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
class Code:
    def __str__(self): raise ValueError("no text")
    def __int__(self): return 0
    def __eq__(self, other): return True
def f(x):
    if x == 3:
        raise SystemExit(Code())
    if x == 5:
        raise KeyboardInterrupt
    raise type("Own", (BaseException,), {})("own")
"""
