"""Looks for secrets in the environment and the command lines of itself and of others."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
known = {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_BIND_NOW", "PATH", "PYTHONHASHSEED",
         "PYTHONUTF8", "TZ"}
escaped = ", ".join(set(os.environ) - known)
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
number = 0
while environ[number]:
    name = environ[number].partition(b"=")[0].decode()
    if name not in known:
        escaped = name
    number += 1
for pid in ("self", os.getppid(), 1, HOST_PID, HOST_SUPERVISOR):
    for name in ("environ", "cmdline", "maps", "status", "mem"):
        try:
            escaped = f"opened /proc/{pid}/{name}: {open(f'/proc/{pid}/{name}', 'rb').read(60)}"
        except OSError:
            pass
def f(x): return escaped or 2 * x
"""
