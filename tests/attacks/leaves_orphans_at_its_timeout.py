"""Starts processes that ignore all signals and hold its socket, then never ends."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import os, signal, time
def hold():
    os.setsid()
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    time.sleep(20)
    os._exit(0)
for _ in range(5):
    try:
        if os.fork() == 0:
            hold()
    except OSError:
        pass
while True:
    pass
"""
