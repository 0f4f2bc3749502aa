"""Links a file of the host into its folder, where the host will change modes and delete."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for path, options in ((HOST_FILE, {}), (HOST_FILE, {"follow_symlinks": False})):
    try:
        os.link(path, "data.txt.link", **options)
        escaped = "linked the host's file"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
