"""Brackets, minus signs and conditions nested too deep for the parser."""

GRADE = 0
OUTCOME = "compile"
CODE = "x = " + "-" * 50_000 + "1\ny = " + "(" * 5_000 + ")" * 5_000 + "\n"
