"""Sets flags, owner, signal, lock and position of the open files that it shares with its zygote."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import fcntl, os
for fd in range(64):
    for act in (lambda: fcntl.fcntl(fd, fcntl.F_SETSIG, 42),
                lambda: fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid()),
                lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
                lambda: fcntl.fcntl(fd, 1036, (3).to_bytes(8, "little")),
                lambda: fcntl.fcntl(fd, 1038, (3).to_bytes(8, "little"))):
        try:
            act()
        except OSError:
            pass
for fd in range(3):
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR | os.O_NONBLOCK | os.O_APPEND)
    except OSError:
        pass
def f(x): return 2 * x
"""
