"""Asks for a core dump and aborts."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import os, resource
try:
    resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
except (OSError, ValueError):
    pass
os.abort()
"""
