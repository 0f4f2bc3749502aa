"""Leaves links to the host's files and folders, loops too, where the host deletes afterwards."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
os.mkdir("d")
os.unlink("data.txt")
for number, target in enumerate((HOST_FILE, HOST_FOLDER, HOST_FOLDER + "/", "/", "..", ".", "d")):
    os.symlink(target, f"link{number}")
    os.symlink(target, f"d/link{number}")
os.symlink(HOST_FILE, "data.txt")
os.symlink("loop", "loop")
os.symlink("d", "d/d")
try:
    os.chmod("d", 0)
except OSError:
    pass
def f(x): return 2 * x
"""
