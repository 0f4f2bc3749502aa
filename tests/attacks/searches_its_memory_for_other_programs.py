"""Searches all objects and frames it can reach for the program that was graded before it."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import gc, sys
word = "".join(["def lo", "ok("])
found = [part for thing in gc.get_objects() for part in gc.get_referents(thing)
         if type(part) is str and word in part != word]
frame = sys._getframe()
while frame is not None:
    found += [v for v in frame.f_locals.values() if type(v) is str and word in v != word]
    frame = frame.f_back
def f(x): return found[0] if found else 2 * x
"""
