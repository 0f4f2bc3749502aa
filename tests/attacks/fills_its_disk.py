"""Writes until there is no room, and leaves it so."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
number = 0
try:
    while number < 12:
        with open(f"big{number}", "wb") as file:
            file.truncate(0)
            file.write(bytes(4 << 20))
        number += 1
except OSError:
    pass
escaped = "wrote 48 MB" if number == 12 else ""
def f(x): return escaped or 2 * x
"""
