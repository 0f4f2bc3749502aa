"""Doubles a text until it does not fit."""

GRADE = 0
OUTCOME = "memory"
NEEDS = ("rlimits",)
CODE = """
text = "x" * 40_000_000
while True:
    text += text
"""
