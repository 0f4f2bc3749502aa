"""Leaves System V queues and semaphores and a POSIX queue for others, or for the next program."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
escaped = ""
if libc.msgget(HOST_KEY, 0o1666) >= 0:
    escaped = "made a message queue"
if libc.semget(HOST_KEY, 1, 0o1666) >= 0:
    escaped = "made a semaphore"
number = {"x86_64": 240, "aarch64": 180}[os.uname().machine]
if libc.syscall(number, HOST_MARK.encode(), os.O_CREAT | os.O_RDWR, 0o666, None) >= 0:
    escaped = "made a POSIX queue"
def f(x): return escaped or 2 * x
"""
