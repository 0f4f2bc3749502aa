"""Attaches a System V memory segment of the host, and makes one of its own for others."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
escaped = ""
segment = libc.shmget(HOST_KEY, 0, 0)
if segment >= 0:
    escaped = "found the host's segment"
    libc.shmat(segment, None, 0)
segment = libc.shmget(HOST_KEY + 1, 4096, 0o1666)
if segment >= 0:
    escaped = escaped or "made a segment"
    libc.shmctl(segment, 0, None)
def f(x): return escaped or 2 * x
"""
