"""Opens files until no more can be opened."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
fds = []
try:
    while True:
        fds.append(os.open(".", os.O_RDONLY))
except OSError:
    pass
for fd in fds:
    os.close(fd)
escaped = "" if len(fds) < 100 else f"opened {len(fds)} files"
def f(x): return escaped or 2 * x
"""
