"""Makes files that are terabytes long by their size."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for size in (1 << 62, 1 << 40, 1 << 30):
    for write in (lambda: os.truncate("data.txt", size),
                  lambda: os.pwrite(os.open("data.txt", os.O_WRONLY), b"x", size),
                  lambda: os.posix_fallocate(os.open("data.txt", os.O_WRONLY), 0, size)):
        try:
            write()
            escaped = f"made a file of {size} bytes"
        except OSError:
            pass
def f(x): return escaped or 2 * x
"""
