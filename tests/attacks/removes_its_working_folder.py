"""Removes its working folder, or puts a link to a folder of the host in its place."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
here = os.getcwd()
os.unlink("data.txt")
for act in (lambda: os.rename(here, here + HOST_MARK), lambda: os.rmdir(here),
            lambda: os.symlink(HOST_FOLDER, here)):
    try:
        act()
    except OSError:
        pass
def f(x): return 2 * x
"""
