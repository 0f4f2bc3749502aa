"""Keeps ever more."""

GRADE = 0
OUTCOME = "memory"
NEEDS = ("rlimits",)
CODE = """
kept = []
while True:
    kept.append(bytearray(10**6))
"""
