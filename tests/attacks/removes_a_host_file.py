"""Renames, replaces and deletes a file of the host."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
open("mine", "w").close()
for act in (lambda: os.rename(HOST_FILE, HOST_FILE + "x"), lambda: os.replace("mine", HOST_FILE),
            lambda: os.rename(HOST_FILE, "theirs"), lambda: os.unlink(HOST_FILE)):
    try:
        act()
        escaped = "moved or removed the host's file"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
