"""Reads a file that anybody on the host may read."""

GRADE = 1
OUTCOME = "correct"
CODE = """
escaped = ""
for path in (HOST_FILE, "/proc/1/root" + HOST_FILE, "/.." * 8 + HOST_FILE):
    try:
        escaped = "read " + open(path).read()
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
