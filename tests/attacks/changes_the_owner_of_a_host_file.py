"""Takes a file of the host for its own."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for change in (os.chown, os.lchown):
    try:
        change(HOST_FILE, os.getuid(), os.getgid())
        escaped = "changed the owner"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
