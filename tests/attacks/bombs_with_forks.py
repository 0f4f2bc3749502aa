"""Forks without end (five hundred times, for two seconds, should nothing hold it)."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import os, signal
r, w = os.pipe()
os.write(w, bytes(500))
while True:
    os.read(r, 1)
    try:
        if os.fork() == 0:
            signal.alarm(2)
    except OSError:
        os.write(w, b"x")
"""
