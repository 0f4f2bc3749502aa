"""Makes a named pipe and devices where a file is expected, for the grader to open."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os, stat
escaped = ""
os.unlink("data.txt")
for mode, device in ((stat.S_IFIFO, 0), (stat.S_IFCHR, os.makedev(1, 1)),
                     (stat.S_IFBLK, os.makedev(8, 0)), (stat.S_IFCHR, 0), (stat.S_IFSOCK, 0)):
    for name in ("data.txt", "other"):
        try:
            os.mknod(name, mode | 0o666, device)
            escaped = f"made a special file of mode {mode:o}"
        except OSError:
            pass
def f(x): return escaped or 2 * x
"""
