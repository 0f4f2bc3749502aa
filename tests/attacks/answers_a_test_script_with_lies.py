"""Gives a test script objects that are equal to everything, and forged answers of wrong forms."""

GRADE = 0
OUTCOME = ("logical", "runtime")
KIND = "script"
CODE = r"""
import os
class Yes(int):
    def __eq__(self, other): return True
    def __float__(self): return 6.0
def f(x):
    for fd in range(3, 64):
        try:
            os.write(fd, b'["case",["t",["l",1],["zz"]],"",false,"",null]\n')
        except OSError:
            pass
    return Yes(1)
"""
