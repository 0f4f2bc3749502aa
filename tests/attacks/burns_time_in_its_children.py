"""Has a child of its own do the work that would be too much for itself."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import os, time
def work():
    while time.process_time() < 0.45:
        pass
r, w = os.pipe()
try:
    pid = os.fork()
except OSError:
    work()
else:
    if pid == 0:
        work()
        os.write(w, b"done")
        time.sleep(20)
        os._exit(0)
    os.read(r, 4)
def f(x): return 2 * x
"""
