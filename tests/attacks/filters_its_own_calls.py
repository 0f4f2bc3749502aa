"""Installs a system call filter that makes the end of its process succeed without ending it."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
number = {"x86_64": (60, 231), "aarch64": (93, 94)}[os.uname().machine]
lines = [(0x20, 0, 0, 0)]
for call in number:
    lines += [(0x15, 0, 1, call), (0x06, 0, 0, 0x00050000)]
lines.append((0x06, 0, 0, 0x7FFF0000))
raw = b"".join(code.to_bytes(2, "little") + bytes((true, false)) + value.to_bytes(4, "little")
               for code, true, false, value in lines)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
libc.prctl(22, 2, ctypes.byref(Program(len(lines), raw)), 0, 0)
def f(x): return 2 * x
"""
