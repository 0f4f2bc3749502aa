"""Shuts the grader's socket down in both directions and goes on, asleep."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import os, socket, time
for fd in range(3, 64):
    try:
        socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
time.sleep(600)
"""
