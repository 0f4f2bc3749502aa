"""A thread keeps putting a link to a host's file in the place of the file each case is given."""

GRADE = 0
OUTCOME = ("logical", "runtime")
CODE = """
import os, threading
def plant():
    while True:
        try:
            os.symlink(HOST_FILE, "new")
            os.rename("new", "data.txt")
        except OSError:
            pass
if threading.active_count() == 1:
    threading.Thread(target=plant, daemon=True).start()
def f(x): return "wrong"
"""
