"""Ends its process with success before anything is asked."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import os
os._exit(0)
"""
