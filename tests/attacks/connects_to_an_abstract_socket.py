"""Connects to a socket of the host that has a name but no file."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import socket
escaped = ""
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
    try:
        with socket.socket(socket.AF_UNIX, kind) as caller:
            caller.connect(HOST_SOCKET)
            escaped = "connected to the abstract socket"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
