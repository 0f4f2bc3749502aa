"""Gives a test script a set whose members all have one hash: the caller would work long at it."""

GRADE = 0
OUTCOME = ("timeout", "runtime", "logical")
KIND = "script"
CODE = r"""
import os
prime = 2**61 - 1
def f(x):
    members = ",".join(f'["i","{i * prime:#x}"]' for i in range(5, 20_000))
    line = f'["case",["s",{members}],"",false,"",null]\n'.encode()
    for fd in range(3, 64):
        try:
            while line:
                line = line[os.write(fd, line):]
        except OSError:
            pass
    os._exit(0)
"""
