"""Raises errors whose text, name and type run code: they raise, answer, and are no text."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
class Lie(Exception):
    def __str__(self): raise SystemExit(0)
class Text(str):
    def __str__(self): return self
    def __getitem__(self, key): return '","",false,"",null]'
    def __len__(self): return 1
class Mocking(Exception):
    def __str__(self): return Text("x" * 10**6)
class Meta(type):
    @property
    def __name__(cls): return "null"
class Named(Exception, metaclass=Meta):
    pass
def f(x):
    raise {3: Lie, 5: Mocking, -1: Named}[x]()
"""
