"""Types a space into the terminal of whoever started the grader, or makes it its own."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import fcntl, os, termios
escaped = ""
fds = list(range(10))
try:
    fds.append(os.open("/dev/tty", os.O_RDWR | os.O_NONBLOCK))
except OSError:
    pass
for fd in fds:
    for request, argument in ((termios.TIOCSTI, b" "), (termios.TIOCSCTTY, 0)):
        try:
            fcntl.ioctl(fd, request, argument)
            escaped = f"reached a terminal by {fd}"
        except OSError:
            pass
def f(x): return escaped or 2 * x
"""
