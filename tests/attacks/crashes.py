"""Reads address 0."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import ctypes
ctypes.string_at(0)
"""
