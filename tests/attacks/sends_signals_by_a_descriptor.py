"""Has the kernel send signals for it: makes its zygote the owner of a pipe that turns ready."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import fcntl, os, signal
for number in (0, signal.SIGKILL, signal.SIGSTOP, signal.SIGINT, signal.SIGURG):
    for pid in (os.getppid(), HOST_PID, -os.getppid()):
        r, w = os.pipe()
        try:
            fcntl.fcntl(r, fcntl.F_SETSIG, number)
            fcntl.fcntl(r, fcntl.F_SETOWN, pid)
            fcntl.fcntl(r, fcntl.F_SETFL, fcntl.fcntl(r, fcntl.F_GETFL) | os.O_ASYNC)
            os.write(w, b"x")
        except OSError:
            pass
        os.close(r)
        os.close(w)
def f(x): return 2 * x
"""
