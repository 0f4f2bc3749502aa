"""Sends every signal to its parent: kill, tgkill, sigqueue, by a process descriptor."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os, signal
libc = ctypes.CDLL(None)
parent = os.getppid()
tgkill = {"x86_64": 234, "aarch64": 131}[os.uname().machine]
queue = {"x86_64": 129, "aarch64": 138}[os.uname().machine]
info = ctypes.create_string_buffer(128)
fd = os.pidfd_open(parent)
for number in (2, 9, 15, 17, 19, 1, 3, 6, 11, 14, 24, 31, 34, 64):
    try:
        os.kill(parent, number)
    except OSError:
        pass
    libc.syscall(tgkill, parent, parent, number)
    info[0:12] = number.to_bytes(4, "little") + bytes(4) + (-1).to_bytes(4, "little", signed=True)
    libc.syscall(queue, parent, number, info)
    libc.syscall(424, fd, number, None, 0)
os.close(fd)
def f(x): return 2 * x
"""
