"""Starts threads, daemons and not, that are still there when it has answered."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import threading, time
for daemon in (False, True):
    try:
        threading.Thread(target=time.sleep, args=(600,), daemon=daemon).start()
    except RuntimeError:
        pass
def f(x): return 2 * x
"""
