"""A sum of so many terms that the compiler overflows."""

GRADE = 0
OUTCOME = "compile"
CODE = "x = " + "+".join(["1"] * 30_000) + "\ndef f(x): return 2 * x\n"
