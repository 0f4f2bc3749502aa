"""Breaks every builtin function that the grader could call afterwards."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import builtins
for name in ("len", "type", "isinstance", "issubclass", "print", "open", "compile", "exec", "eval",
             "__import__", "__build_class__", "str", "repr", "int", "getattr", "hasattr", "iter",
             "dict", "BaseException", "Exception", "SystemExit", "MemoryError", "input"):
    setattr(builtins, name, None)
__builtins__ = {}
def f(x): return 2 * x
"""
