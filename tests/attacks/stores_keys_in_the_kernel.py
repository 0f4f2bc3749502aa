"""Keeps a key in the kernel's key rings, as one for the next program of its uid would be."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
add, request, control = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}[os.uname().machine]
key = libc.syscall(add, b"user", HOST_MARK.encode(), b"note", 4, -2)
ring = libc.syscall(control, 0, -3, 0)
def f(x): return "reached a key ring" if key > 0 or ring > 0 else 2 * x
"""
