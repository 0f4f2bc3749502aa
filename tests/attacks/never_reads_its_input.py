"""Ends without reading any of an input that is longer than a pipe."""

GRADE = 0
OUTCOME = "logical"
KIND = "io"
CODE = """
print(7)
"""
