"""Lists folders of the host."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for path in (HOST_FOLDER, os.path.dirname(HOST_FOLDER), "/tmp", "/etc", "/proc",
             "/sys", "/run", "/var", "/opt", "/boot"):
    try:
        escaped = f"listed {path}: {os.listdir(path)[:5]}"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
