"""Answers the first question of a test script and then never ends."""

GRADE = 0
OUTCOME = "timeout"
KIND = "script"
CODE = """
import time
try:
    print(2 * int(input()))
except EOFError:
    time.sleep(600)
def f(x): return 2 * x
"""
