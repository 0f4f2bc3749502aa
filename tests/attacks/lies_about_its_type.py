"""Answers with objects whose class, bases and type claim to be an int's."""

GRADE = 0
OUTCOME = ("logical", "runtime")
CODE = """
class Meta(type):
    def __eq__(self, other): return True
    def __hash__(self): return hash(int)
    def __instancecheck__(self, other): return True
    def __subclasscheck__(self, other): return True
    @property
    def __name__(self): return "int"
    @property
    def __mro__(self): return (int, object)
    def mro(cls): return [cls, object]
class Six(metaclass=Meta):
    @property
    def __class__(self): return int
    def __eq__(self, other): return True
    def __hash__(self): return 6
    def __int__(self): return 6
def f(x): return Six()
"""
