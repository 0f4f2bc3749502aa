"""Sets timers that end it in the middle of an answer."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import signal, time
signal.setitimer(signal.ITIMER_REAL, 0.01)
def f(x):
    time.sleep(0.1)
    return 2 * x
"""
