"""Raises a syntax error whose line number, text and message are objects that run code."""

GRADE = 0
OUTCOME = "runtime"
CODE = r"""
class Evil:
    def __format__(self, spec): return '","",false,"",null]\n["case",6,"",false,"",null]'
    def __str__(self): raise MemoryError
    def __bool__(self): raise SystemExit(0)
    def __getattr__(self, name): raise KeyboardInterrupt
def f(x):
    error = SyntaxError("message")
    error.lineno = error.text = error.offset = error.msg = Evil()
    raise error
"""
