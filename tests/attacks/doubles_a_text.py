"""Doubles a text until it does not fit."""

GRADE = 0
OUTCOME = "memory"
NEEDS = ("rlimits",)
CODE = """
text = "x"
while True:
    text += text
"""
