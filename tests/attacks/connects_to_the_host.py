"""Connects to a server on the host's loopback."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import socket
escaped = ""
for address in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
    try:
        socket.create_connection((address, HOST_PORT), 0.1).close()
        escaped = f"connected to {address}"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
