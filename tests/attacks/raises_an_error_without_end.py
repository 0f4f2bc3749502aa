"""Raises an error whose text never ends."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
class Endless(Exception):
    def __str__(self):
        while True:
            pass
def f(x):
    raise Endless
"""
