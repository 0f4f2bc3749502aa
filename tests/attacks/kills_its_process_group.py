"""Joins the group of its zygote, if it may, and kills the whole group."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import os
for group in (os.getppid(), 1):
    try:
        os.setpgid(0, group)
    except OSError:
        pass
os.killpg(0, 9)
"""
