"""Writes junk and raises from garbage collection, weak references and finalizers."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import gc, weakref
class Cycle:
    def __init__(self): self.me = self
    def __del__(self): raise ValueError("from a finalizer")
def callback(*args):
    raise ValueError("from a callback")
gc.callbacks[:] = [callback]
gc.set_threshold(1, 1, 1)
cycle = Cycle()
watch = weakref.ref(cycle, callback)
del cycle
def f(x):
    Cycle()
    return 2 * x
"""
