"""Names an encoding in which its comment would be code."""

GRADE = 1
OUTCOME = "correct"
CODE = """
# -*- coding: utf-7 -*-
# +AAo-escaped=1
def f(x): return "escaped" if "escaped" in globals() else 2 * x
"""
