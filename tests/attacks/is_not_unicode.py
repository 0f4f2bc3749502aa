"""A program with half a character in it."""

GRADE = 0
OUTCOME = "compile"
CODE = "def f(x): return 2 * x\n# \ud800\n"
