"""Asks the kernel about the machine's network, and for events of its devices and processes."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import socket
escaped = ""
for protocol in (0, 4, 9, 11, 12, 15, 16):
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
            link.bind((0, 0))
            escaped = f"opened netlink protocol {protocol}"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
