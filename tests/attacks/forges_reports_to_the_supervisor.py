"""Writes what a zygote reports of a finished program, to every descriptor, by write and by send."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import os, socket
for fd in range(3, 64):
    for report in (b"exit 0 0.001", b"ready pid uid seccomp", b"cpu 0 0.0"):
        try:
            os.write(fd, report)
        except OSError:
            pass
        try:
            socket.socket(fileno=os.dup(fd)).send(report)
        except OSError:
            pass
os._exit(0)
"""
