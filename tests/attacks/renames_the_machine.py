"""Sets the name of the machine, to what it is: harmless if it works."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, os
libc = ctypes.CDLL(None)
name = os.uname().nodename.encode()
done = libc.sethostname(name, len(name)) == 0
def f(x): return "renamed the machine" if done else 2 * x
"""
