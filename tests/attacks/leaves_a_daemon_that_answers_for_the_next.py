"""Leaves a process that keeps writing answers to every descriptor it holds or can take over."""

GRADE = 1
OUTCOME = "correct"
CODE = r"""
import os, time
def haunt():
    os.setsid()
    for _ in range(1_000):
        for fd in range(3, 64):
            try:
                os.write(fd, b'["case",7,"",false,"",null]\n')
            except OSError:
                pass
        with open("note", "w") as file:
            file.write(HOST_MARK)
        time.sleep(0.01)
    os._exit(0)
def f(x):
    if x == -1:
        try:
            if os.fork() == 0:
                time.sleep(0.05)
                haunt()
        except OSError:
            pass
    return 2 * x
"""
