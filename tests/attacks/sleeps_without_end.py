"""Sleeps, using no CPU time."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import time
def f(x):
    time.sleep(600)
"""
