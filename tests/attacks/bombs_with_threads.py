"""Starts threads until it gets no more; they never end."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import _thread, time
def wait():
    time.sleep(600)
try:
    for _ in range(2_000):
        _thread.start_new_thread(wait, ())
except RuntimeError:
    pass
def f(x): return 2 * x
"""
