"""AST keys: what is the same program, and that no text is too hostile to be compared."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from novicegym.courses.syntax import AST_KINDS, MAX_DEPTH, ast_key, compiles, parse, same_ast
from novicegym.errors import UsageError

N = 50_000
HOSTILE = {
    "nested parentheses": "(" * 100_000 + ")" * 100_000,
    "open brackets": "[" * 100_000,
    "long sum": "1" + "+1" * N,
    "attribute chain": "a" + ".b" * N,
    "call chain": "a" + "()" * N,
    "index chain": "a" + "[0]" * N,
    "unary chain": "-" * 100_000 + "1",
    "nested lambdas": "lambda:" * N + "1",
    "nested conditionals": "1 if 1 else " * N + "1",
    "power chain": "a**" * N + "a",
    "elif chain": "if 1:\n pass\n" + "elif 1:\n pass\n" * N,
    "indented blocks": "\n".join(" " * i + "if 1:" for i in range(300)),
    "huge hexadecimal": "0x" + "f" * 100_000,
    "huge decimal": "9" * 100_000,
    "nested patterns": "match x:\n case " + "[" * 5000 + "]" * 5000 + ": pass",
    "decorators": "@a\n" * N + "def f(): pass",
    "nul": "x = 1\0",
    "surrogate": "'\ud800'",
    "bare surrogate": "\ud800",
    "bad escape": "'\\d'",
    "assert on a tuple": "assert (1, 2)",
    "outside a function": "return\nnonlocal x\nglobal x\nclass A:\n nonlocal y\n y = 1",
    "duplicate parameter": "def f(a, a): pass\nf(a=1, a=2)",
    "unknown future": "from __future__ import braces",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_has_keys_and_raises_nothing(name: str) -> None:
    code = HOSTILE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiles(code)
        for kind in AST_KINDS:
            assert ast_key(code, kind) == ast_key(code, kind)


@given(st.text() | st.text("ab(){}[]:=\n \t'\"\\#,.*@", max_size=40))
def test_any_text_has_keys(text: str) -> None:
    compiles(text)
    for kind in AST_KINDS:
        assert same_ast(text, text, kind)


def test_a_parsed_tree_is_never_deeper_than_the_limit() -> None:
    def nested(levels: int) -> str:
        return "-" * levels + "1"  # besides, a module, a statement and a number; operators hang

    assert parse(nested(MAX_DEPTH - 4)) is not None
    assert parse(nested(MAX_DEPTH)) is None
    assert compiles(nested(MAX_DEPTH))


def test_compiles_tells_what_only_parses() -> None:
    assert compiles("x = 1")
    assert not compiles("return 1")
    assert parse("return 1") is not None
    assert not compiles("x = = 1")
    assert parse("x = = 1") is None


def test_an_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Did you mean 'exact'"):
        ast_key("x", "exactly")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("x = 1  # one", "x  =  (1)", True),
        ("print('a')", 'print("a")', True),
        ("def f():\n  return 1", "def f():\n\treturn 1", True),
        ("def f():\n  'doc'", "def f():\n  'other'", False),
        ("x = 1", "y = 1", False),
        ("x = 1", "x = 1.0", False),
        ("x = 1", "x = True", False),
        ("x = = 1", "  x = = 1\n", True),
        ("x = = 1", "x == = 1", False),
        ("unparsable:(", "(", False),
    ],
)
def test_exact_ignores_layout_only(a: str, b: str, same: bool) -> None:
    assert same_ast(a, b, "exact") is same


def test_renamed_reproduces_the_published_equality(shared: Path) -> None:
    golden = shared / "golden" / "ast_equality.json"
    pairs = json.loads(golden.read_text(encoding="utf-8"))["pairs"]
    # One pair compares a missing submission with an empty one; here code is always text.
    pairs = [pair for pair in pairs if pair["a"] is not None]
    assert len(pairs) == 99
    wrong = [p["id"] for p in pairs if same_ast(p["a"], p["b"], "renamed") != p["equal"]]
    assert wrong == []


ALPHA_SAME = {
    "local": ("def f(x):\n y = x\n return y", "def f(x):\n z = x\n return z"),
    "parameter": ("def f(x): return x", "def f(n): return n"),
    "own function": ("def f(n): return f(n - 1)", "def g(n): return g(n - 1)"),
    "global variable": ("total = 0\nprint(total)", "count = 0\nprint(count)"),
    "declared global": (
        "n = 0\ndef f():\n global n\n n += 1",
        "m = 0\ndef f():\n global m\n m += 1",
    ),
    "nonlocal": (
        "def f():\n n = 0\n def g():\n  nonlocal n\n  n += 1",
        "def f():\n m = 0\n def g():\n  nonlocal m\n  m += 1",
    ),
    "except name": (
        "try: pass\nexcept ValueError as e: print(1, e)",
        "try: pass\nexcept ValueError as error: print(1, error)",
    ),
    "comprehension": ("[x for x in range(3)]", "[i for i in range(3)]"),
    "comprehension over its own name": ("x = [1]\n[x for x in x]", "y = [1]\n[z for z in y]"),
    "walrus in a comprehension": (
        "[y := x for x in range(3)]\nprint(y)",
        "[b := a for a in range(3)]\nprint(b)",
    ),
    "match captures": (
        "match [1, 2]:\n case [a, *b]: print(a, b)\n case {'k': v, **r}: print(v, r)",
        "match [1, 2]:\n case [c, *d]: print(c, d)\n case {'k': w, **s}: print(w, s)",
    ),
    "keyword of an own function": (
        "def f(a, b=1): return a\nprint(f(a=2))",
        "def g(x, y=1): return x\nprint(g(x=2))",
    ),
    "local shadows a builtin": ("def f():\n sum = 0\n return sum", "def f():\n s = 0\n return s"),
    "method's local": (
        "class A:\n def m(self): return self.x",
        "class A:\n def m(this): return this.x",
    ),
    "lambda": ("f = lambda x: x + 1", "g = lambda y: y + 1"),
    "shadowing local": ("x = 1\ndef f(x): return x", "a = 1\ndef f(b): return b"),
    "async": ("async def f(x): return x", "async def g(y): return y"),
}


@pytest.mark.parametrize("name", ALPHA_SAME)
def test_alpha_ignores_consistent_renaming(name: str) -> None:
    a, b = ALPHA_SAME[name]
    assert same_ast(a, b, "alpha")
    assert not same_ast(a, b, "exact")


ALPHA_DIFFERENT = {
    "builtin": ("def f(x): return len(x)", "def f(x): return sum(x)"),
    "recursion and another call": ("def f(n): return f(n)", "def f(n): return g(n)"),
    "attribute": ("def f(s): return s.upper()", "def f(s): return s.lower()"),
    "import": ("import math\nmath.pi", "import cmath\ncmath.pi"),
    "import alias": ("import math as m\nm.pi", "import math as n\nn.pi"),
    "unbound name": ("print(x)", "print(y)"),
    "typo": ("def f(candy): return candy", "def f(candy): return candies"),
    "swapped": ("def f(a, b): return a - b", "def f(a, b): return b - a"),
    "global or local": ("n = 0\ndef f():\n global n\n n = 1", "n = 0\ndef f():\n m = 1"),
    "global shadows a builtin": ("if c: sum = 1\nprint(sum)", "if c: total = 1\nprint(total)"),
    "star import": (
        "from math import *\nif c: pi = 3\nprint(pi)",
        "from math import *\nif c: p = 3\nprint(p)",
    ),
    "class attribute": ("class A:\n x = 1", "class A:\n y = 1"),
    "class": ("class A: pass", "class B: pass"),
    "class body reads the global": ("x = 1\nclass A:\n x = x", "y = 1\nclass A:\n x = x"),
    "method sees no class name": (
        "x = 1\nclass A:\n x = 2\n def m(self): return x",
        "y = 1\nclass A:\n x = 2\n def m(self): return x",
    ),
    "comprehension in a class": (
        "x = [1]\nclass A:\n x = [2]\n y = [x for _ in x]",
        "z = [1]\nclass A:\n x = [2]\n y = [x for _ in x]",
    ),
    "locals()": ("def f():\n x = 1\n return locals()", "def f():\n y = 1\n return locals()"),
    "eval": ("x = 1\neval('x')", "y = 1\neval('x')"),
    "__name__": ("def f(): pass\nprint(f.__name__)", "def g(): pass\nprint(g.__name__)"),
    "mangled": (
        "_A__x = 1\nclass A:\n def m(s): return __x",
        "y = 1\nclass A:\n def m(s): return __x",
    ),
    "unknown callee": ("g = lambda a: a\ng(a=1)", "g = lambda b: b\ng(a=1)"),
    "decorated": ("@d\ndef f(a): pass\nf(a=1)", "@d\ndef f(b): pass\nf(a=1)"),
    "options": ("def f(a): pass\nf(**{'a': 1})", "def f(b): pass\nf(**{'a': 1})"),
    "options to an unknown callee": (
        "def f(a): pass\n[f][0](**{'a': 1})",
        "def f(b): pass\n[f][0](**{'a': 1})",
    ),
    "keyword caught by **": (
        "def f(a, **k): return k\nf(0, b=1)",
        "def f(a, **k): return k\nf(0, c=1)",
    ),
    "keyword names a positional-only parameter": (
        "def f(a, /, **k): return k\nf(0, a=1)",
        "def f(b, /, **k): return k\nf(0, b=1)",
    ),
    "keyword of another parameter": (
        "def f(a=1, b=2): return a - b\nf(a=5)",
        "def f(a=1, b=2): return a - b\nf(b=5)",
    ),
    "redefined": (
        "def f(a): pass\ndef f(b): pass\nf(a=1)",
        "def f(b): pass\ndef f(a): pass\nf(a=1)",
    ),
    "self-documenting f-string": ("x = 1\nprint(f'{x=}')", "y = 1\nprint(f'{y=}')"),
    "class does not pass on a global declaration": (
        "def f():\n x = 1\n class A:\n  global x\n  x = 2\n  def m(s): return x",
        "def f():\n y = 1\n class A:\n  global x\n  x = 2\n  def m(s): return x",
    ),
}


@pytest.mark.parametrize("name", ALPHA_DIFFERENT)
def test_alpha_keeps_apart_what_behaves_differently(name: str) -> None:
    a, b = ALPHA_DIFFERENT[name]
    assert parse(a) is not None
    assert parse(b) is not None
    assert not same_ast(a, b, "alpha")


# Statements with holes for names; few names, so that they collide.
_STATEMENTS = [
    "{0} = {1}",
    "{0} = {1} + 1",
    "print({0})",
    "print(len([{0}, {1}]))",
    "del {0}",
    "global {0}",
    "nonlocal {0}",
    "import math as {0}",
    "print([{0} for {0} in [{1}]], {0})",
    "print([({0} := {1}) for {1} in [1, 2]])",
    "print((lambda {0}, {1}=2: [{0}, {1}])({2}))",
    "print((lambda {0}: {1})({0}=3))",
    "print({0}({1}=4))",
    "print({0}(**{{'a': 5}}))",
    "for {0} in [6, 7]: print({1})",
    "match [8, 9]:\n case [{0}, {1}]: print({0}, {1}, {2})",
]
_BLOCKS = [
    "def {0}({1}=1):",
    "def {0}({1}, *, {2}=2):",
    "class {0}:",
    "if {0}:",
    "try:",
]
_NAMES = ["a", "b", "c", "sum", "k"]


@st.composite
def _programs(draw: st.DrawFn, depth: int = 0) -> list[str]:
    """Lines of a program whose names are still holes `{0}`, `{1}`, ..., numbered per line."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 4 if depth == 0 else 2))):
        if depth < 3 and draw(st.booleans()):
            header = draw(st.sampled_from(_BLOCKS))
            body = draw(_programs(depth + 1))
            lines += [header, *(" " + line.replace("\n", "\n ") for line in body)]
            if header == "try:":
                lines += ["except NameError as {0}:", " print('caught')"]
        else:
            lines.append(draw(st.sampled_from(_STATEMENTS)))
    return lines


def _behaviour(code: str) -> str:
    out = io.StringIO()
    space: dict[str, object] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(code, "<test>", "exec"), space)
        except Exception as error:
            out.write(type(error).__name__)
    return out.getvalue()


@settings(max_examples=300, deadline=None)
@given(_programs(), st.data())
def test_equal_alpha_keys_mean_equal_behaviour(lines: list[str], data: st.DataObject) -> None:
    names = [data.draw(st.tuples(*[st.sampled_from(_NAMES)] * 3)) for _ in lines]
    # The other program has its names exchanged from some line on, up to another.
    swap = dict(zip(_NAMES, data.draw(st.permutations(_NAMES)), strict=True))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(lines))] * 2)))
    other = [
        tuple(swap[name] for name in row) if first <= i < last else row
        for i, row in enumerate(names)
    ]
    a = "\n".join(line.format(*row) for line, row in zip(lines, names, strict=True))
    b = "\n".join(line.format(*row) for line, row in zip(lines, other, strict=True))
    assume(compiles(a) and same_ast(a, b, "alpha"))
    outputs = [_behaviour(code) for code in (a, b)]
    # Functions print with their name and address, classes with their name.
    assume("0x" not in outputs[0])
    assert outputs[0] == outputs[1]
