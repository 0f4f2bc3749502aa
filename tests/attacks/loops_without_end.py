"""Computes without end, and catches whatever is raised to stop it."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
def f(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
