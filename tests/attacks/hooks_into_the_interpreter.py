"""Installs hooks that see and change the grader's frames: trace, profile, audit, error hooks."""

GRADE = 0
OUTCOME = ("logical", "runtime")
CODE = """
import sys, threading
def trace(frame, event, argument):
    if frame.f_globals is not globals():
        frame.f_locals.update(value="true", failure="null")
        frame.f_trace_lines = True
    return trace
threading.settrace(trace)
threading.setprofile(trace)
frame = sys._getframe()
while frame is not None:
    frame.f_trace = trace
    frame = frame.f_back
sys.settrace(trace)
sys.setprofile(lambda *args: None)
sys.excepthook = sys.unraisablehook = sys.displayhook = sys.breakpointhook = lambda *args: None
def f(x): return None
"""
