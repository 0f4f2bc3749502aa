"""Connects to a socket of the host by its file: directly, by a link, by half of a socket pair."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os, socket
escaped = ""
os.symlink(HOST_UNIX, "link")
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for caller in (lambda: socket.socket(socket.AF_UNIX), lambda: ours):
    for path in (HOST_UNIX, "link"):
        try:
            with caller() as end:
                end.connect(path)
                escaped = "connected to the socket file"
        except OSError:
            pass
def f(x): return escaped or 2 * x
"""
