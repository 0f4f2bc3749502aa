"""Writes a file into a folder of the host that anybody may write to."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for make in (lambda p: open(p, "w").write("here"), os.mkdir, os.mkfifo,
             lambda p: os.symlink("/", p)):
    try:
        make(HOST_FOLDER + "/" + HOST_MARK)
        escaped = "wrote into the host's folder"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
