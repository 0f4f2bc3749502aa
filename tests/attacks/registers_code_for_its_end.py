"""Registers code that runs when Python ends: atexit, threading, weak references, finalizers."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import atexit, os, sys, threading, weakref
class Last:
    def __del__(self):
        os._exit(7)
atexit.register(os._exit, 7)
threading._register_atexit(os._exit, 7)
keep = weakref.finalize(sys, os._exit, 7)
sys.last = getattr(sys, "last", None) or Last()
def f(x): return 2 * x
"""
