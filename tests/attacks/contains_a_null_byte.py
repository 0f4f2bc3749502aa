"""A program with a null byte in it, where readers of C would see its end."""

GRADE = 0
OUTCOME = "compile"
CODE = "def f(x): return 2 * x\n\0while True: pass\n"
