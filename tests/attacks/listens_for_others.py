"""Opens a port and a named socket where others, or the next program, could reach it."""

GRADE = 1
OUTCOME = "correct"
CODE = r"""
import socket
escaped = ""
for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, "\0mine" + HOST_MARK),
                        (socket.AF_UNIX, "here.sock")):
    try:
        listener = socket.socket(family)
        listener.bind(address)
        listener.listen()
        escaped = f"listens on {address!r}"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
