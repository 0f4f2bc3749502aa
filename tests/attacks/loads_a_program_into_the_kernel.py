"""Loads a BPF program and makes a BPF map."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
wanted = ctypes.create_string_buffer(128)
wanted[0:16] = b"".join(n.to_bytes(4, "little") for n in (2, 4, 8, 1))
made = [ctypes.CDLL(None).syscall(number, command, wanted, 128) for command in (0, 5)]
def f(x): return "made a BPF map" if max(made) >= 0 else 2 * x
"""
