"""Sends open files to whoever reads its socket, to fill the table of the caller."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os, socket
fds = [os.open(".", os.O_RDONLY) for _ in range(20)]
for fd in range(3, 64):
    if fd not in fds:
        try:
            with socket.socket(fileno=os.dup(fd)) as reply:
                socket.send_fds(reply, [b" "], fds)
        except OSError:
            pass
for fd in fds:
    os.close(fd)
def f(x): return 2 * x
"""
