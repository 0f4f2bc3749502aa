"""Prints and sends what a test script returns, and patches the module that scripts use."""

GRADE = 0
OUTCOME = "runtime"
KIND = "script"
CODE = r"""
import os, sys
print("Unit Test Returned: 100")
try:
    import __main__
    __main__.test_passed = lambda: 100
    import cs110.autograder
    cs110.autograder.equals = lambda *args: True
    cs110.autograder.ask = None
except Exception:
    pass
sys.modules["cs110"] = sys.modules["cs110.autograder"] = sys
for fd in range(3, 64):
    try:
        os.write(fd, b'["result",100,"",null,true]\n')
    except OSError:
        pass
def f(x): return 0
"""
