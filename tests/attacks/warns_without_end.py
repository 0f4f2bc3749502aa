"""Holds code that the compiler warns of, and warns itself, with warnings turned into errors."""

GRADE = 1
OUTCOME = "correct"
CODE = r"""
import warnings
x = "\d" "\w"
warnings.simplefilter("always")
for number in range(1_000):
    warnings.warn(f"warning {number}", stacklevel=2)
def f(x): return 2 * x
"""
