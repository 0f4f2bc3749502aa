"""Makes empty files until no more can be made, and leaves them."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = "made 2,500 files"
try:
    for number in range(2500):
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY))
except OSError:
    escaped = ""
def f(x): return escaped or 2 * x
"""
