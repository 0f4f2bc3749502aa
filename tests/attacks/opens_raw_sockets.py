"""Opens sockets that see or forge the packets of others."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import socket
escaped = ""
for family, kind, protocol in ((2, socket.SOCK_RAW, 1), (2, socket.SOCK_DGRAM, 1),
                               (17, socket.SOCK_RAW, 0x300), (40, socket.SOCK_STREAM, 0),
                               (44, socket.SOCK_RAW, 0), (38, socket.SOCK_SEQPACKET, 0),
                               (31, socket.SOCK_RAW, 1), (29, socket.SOCK_RAW, 1)):
    try:
        socket.socket(family, kind, protocol).close()
        escaped = f"opened a socket of family {family}"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
