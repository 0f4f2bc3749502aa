"""Takes copies of the open files of its zygote and of the host's processes."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
escaped = ""
for pid in (os.getppid(), HOST_PID, HOST_SUPERVISOR):
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        continue
    for number in range(8):
        if libc.syscall(438, fd, number, 0) >= 0:
            escaped = f"took descriptor {number} of {pid}"
        try:
            os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR)
            escaped = f"opened descriptor {number} of {pid}"
        except OSError:
            pass
    os.close(fd)
def f(x): return escaped or 2 * x
"""
