"""Reads from a pipe that nobody writes to."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import os
r, w = os.pipe()
os.read(r, 1)
"""
