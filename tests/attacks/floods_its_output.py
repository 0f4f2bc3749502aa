"""Prints without end."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
while True:
    print("x" * 10_000)
"""
