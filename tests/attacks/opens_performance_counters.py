"""Counts events of the processor, of itself and of all others."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
number = {"x86_64": 298, "aarch64": 241}[os.uname().machine]
wanted = ctypes.create_string_buffer(128)
wanted[0:16] = b"".join(n.to_bytes(4, "little") for n in (1, 128, 0, 0))
opened = [ctypes.CDLL(None).syscall(number, wanted, pid, cpu, -1, 0)
          for pid, cpu in ((0, -1), (-1, 0), (os.getppid(), -1))]
def f(x): return "opened a counter" if max(opened) >= 0 else 2 * x
"""
