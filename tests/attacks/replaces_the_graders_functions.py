"""Walks up the frames to the grader's own code and replaces its functions."""

GRADE = 0
OUTCOME = "logical"
CODE = """
import sys
frame = sys._getframe()
while frame is not None:
    names = frame.f_globals
    if names is not globals():
        for name in list(names):
            if name in ("_encode", "encode"):
                names[name] = lambda *args: '["o","right"]'
            elif name in ("_exit", "_chdir", "_write_files", "empty_folder"):
                names[name] = lambda *args: None
        frame.f_locals.update(failure="null", value="true", passed=True)
    frame = frame.f_back
def f(x): return None
"""
