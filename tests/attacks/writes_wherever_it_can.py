"""Leaves a note in every folder that programs share: /tmp, /dev/shm, the library, the root."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os, sys
escaped = ""
for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/dev/mqueue", "/run", "/usr/lib",
               os.path.expanduser("~"), os.path.dirname(os.__file__), *sys.path):
    try:
        open(f"{folder}/{HOST_MARK}", "w").close()
        escaped = f"wrote into {folder}"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
