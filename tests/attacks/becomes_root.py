"""Takes the uid of root, other groups, and all capabilities."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
escaped = ""
for change in (lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setresuid(0, 0, 0),
               lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.setresgid(0, 0, 0)):
    try:
        change()
        escaped = "changed who it is"
    except OSError:
        pass
number = {"x86_64": 126, "aarch64": 91}[os.uname().machine]
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
if ctypes.CDLL(None).syscall(number, header, (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)) == 0:
    escaped = "took all capabilities"
def f(x): return escaped or 2 * x
"""
