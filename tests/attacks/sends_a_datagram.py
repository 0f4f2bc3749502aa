"""Sends a datagram, as a question to a name server would go, to the host's loopback."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import socket
escaped = ""
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"who is there?", ("127.0.0.1", HOST_PORT))
        escaped = "sent a datagram"
except OSError:
    pass
def f(x): return escaped or 2 * x
"""
