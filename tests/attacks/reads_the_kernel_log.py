"""Reads the messages of the kernel."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes
log = ctypes.create_string_buffer(4096)
size = ctypes.CDLL(None).klogctl(3, log, 4096)
def f(x): return "read the kernel log" if size > 0 else 2 * x
"""
