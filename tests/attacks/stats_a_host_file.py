"""Asks for the size and the times of a file, without opening it."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for look in (os.stat, os.lstat, os.statvfs, os.readlink, lambda p: os.access(p, 0) or 1 / 0):
    for path in (HOST_FILE, HOST_FOLDER):
        try:
            escaped = f"saw {path}: {look(path)}"
        except (OSError, ZeroDivisionError):
            pass
def f(x): return escaped or 2 * x
"""
