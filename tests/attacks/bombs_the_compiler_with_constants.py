"""Constants that the compiler would work out at once, each a billion of something."""

GRADE = 0
OUTCOME = ("memory", "runtime", "timeout", "compile")
NEEDS = ("rlimits",)
CODE = """
def f(x):
    return (("x" * 10**9) * 10**9, [0] * 10**9 * 10**9, b"x" * 10**10, 9**9**9)
"""
