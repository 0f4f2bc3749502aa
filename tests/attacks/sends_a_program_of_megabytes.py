"""A right program under five megabytes of comment."""

GRADE = 1
OUTCOME = "correct"
CODE = "def f(x): return 2 * x\n" + "# nothing to see here\n" * 240_000
