"""Takes all rights from nested folders with files in them, to hinder their removal."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
path = "."
for depth in range(30):
    path += "/d"
    os.mkdir(path)
    open(path + "/file", "w").close()
try:
    while path != ".":
        os.chmod(path + "/file", 0)
        os.chmod(path, 0)
        path = os.path.dirname(path)
except OSError:
    pass
def f(x): return 2 * x
"""
