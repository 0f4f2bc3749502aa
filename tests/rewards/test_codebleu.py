"""CodeBLEU: the library's values, whatever the hash seed, for any text."""

from __future__ import annotations

import builtins
import json
import logging
import os
import subprocess
import sys
import types
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.rewards import codebleu as module
from novicegym.rewards.codebleu import CodeBleu, codebleu
from novicegym.rewards.comments import remove_comments
from novicegym.rewards.set_order import set_order

LOOPS = """\
def search(x, seq):
    for i, elem in enumerate(seq):
        while elem < x:
            elem, low, high = low + elem, high, elem + i
        if x <= elem:
            return i + low
    return len(seq)
"""


@pytest.fixture
def published(shared: Path) -> list[dict[str, Any]]:
    text = (shared / "golden" / "codebleu.json").read_text(encoding="utf-8")
    values: list[dict[str, Any]] = json.loads(text)["values"]
    assert len(values) == 100
    return values


def test_published_values_are_reproduced(published: list[dict[str, Any]]) -> None:
    for value in published:
        ours = codebleu(value["reference"], value["prediction"])
        assert ours.total == pytest.approx(value["tree_sitter_0_22_3"], abs=1e-9), value["id"]


def test_published_components_are_reproduced(published: list[dict[str, Any]]) -> None:
    for value in published:
        components = value["components"]
        ours = codebleu(value["reference"], value["prediction"])
        found = [ours.ngram, ours.weighted_ngram, ours.syntax, ours.dataflow or 0.0]
        wanted = [
            components["ngram_match_score"],
            components["weighted_ngram_match_score"],
            components["syntax_match_score"],
            components["dataflow_match_score"],
        ]
        # The published components are those of a later grammar.
        same_grammar = value["codebleu"] == value["tree_sitter_0_22_3"]
        parts = slice(4 if same_grammar else 2)
        assert found[parts] == pytest.approx(wanted[parts], abs=1e-9), value["id"]


SCORE_ALL = """
import json, sys
from novicegym.rewards.codebleu import codebleu
print([repr(codebleu(a, b)) for a, b in json.load(sys.stdin)])
"""


def test_values_do_not_depend_on_the_hash_seed(published: list[dict[str, Any]]) -> None:
    pairs = [(value["reference"], value["prediction"]) for value in published]
    pairs += [(LOOPS, LOOPS.replace("elem", "e")), (LOOPS, LOOPS.replace("low", "x"))]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", SCORE_ALL],
            input=json.dumps(pairs),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "31337")
    ]
    assert len(outputs[0]) > 1000
    assert set(outputs) == {outputs[0]}


LIBRARY = """
import json, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable()
from codebleu import calc_codebleu
for a, b in json.load(sys.stdin):
    print(calc_codebleu([a], [b], "python", tokenizer=str.split)["codebleu"])
"""


def test_values_are_the_packages_under_seed_0(published: list[dict[str, Any]]) -> None:
    names = ["a", "b", "long_name", "x1", "é", "total"]
    pairs = [(value["reference"], value["prediction"]) for value in published[:40]]
    # Loops that merge several names, which is what depends on the seed.
    pairs += [
        (LOOPS, LOOPS.replace("low", one).replace("i", other)) for one in names for other in names
    ]
    output = subprocess.run(
        [sys.executable, "-c", LIBRARY],
        input=json.dumps(pairs),
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    totals = [codebleu(*pair).total for pair in pairs]
    assert totals == pytest.approx([float(line) for line in output.split()], abs=1e-12)


def test_no_data_flow_counts_for_the_library_and_not_for_the_corrected_value() -> None:
    score = codebleu("print('a b c d')", "print('a b c')")
    assert score.dataflow is None
    parts = score.ngram + score.weighted_ngram + score.syntax
    assert score.total == pytest.approx(0.25 * (parts + 1))
    assert score.corrected == pytest.approx(parts / 3)


def test_a_total_mismatch_of_data_flow_counts_as_one_only_for_the_library() -> None:
    score = codebleu("def f(a, b):\n    c = a + b\n    return c", "print('hello')")
    assert score.dataflow == 0.0
    parts = score.ngram + score.weighted_ngram + score.syntax
    assert score.total == pytest.approx(0.25 * (parts + 1))
    assert score.corrected == pytest.approx(0.25 * parts)


def test_an_identical_program_scores_one() -> None:
    assert codebleu(LOOPS, LOOPS) == CodeBleu(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_an_empty_text_scores_nothing() -> None:
    nothing = CodeBleu(0.0, 0.0, 0.0, None, 0.0, 0.0)
    assert codebleu("", "x = 1") == nothing
    assert codebleu("x = 1", "") == nothing
    assert codebleu("", "") == nothing


@pytest.mark.parametrize(
    "code",
    [
        "(" * 100_000 + ")" * 100_000,
        "-" * 15_000 + "1",
        "\n".join(" " * depth + "for a in b:" for depth in range(40)),
        "x = 1\n" * 100_000,
    ],
    ids=["long", "deep", "loops", "large"],
)
def test_programs_beyond_the_limits_are_compared_as_text(code: str) -> None:
    same, other = codebleu(code, code), codebleu(code, "x = 1")
    assert (same.syntax, same.dataflow) == (1.0, 1.0)
    assert (other.syntax, other.dataflow) == (0.0, 0.0)


def test_a_lone_surrogate_scores_like_the_stored_question_mark() -> None:
    assert codebleu(LOOPS, "x = '\ud800'") == codebleu(LOOPS, "x = '?'")


CODES = st.text(max_size=60) | st.text("ab=()[]:\n\t \0'\"#\\\r,+\x0c\x85", max_size=60)
CUT = st.tuples(st.integers(0, len(LOOPS)), st.integers(0, len(LOOPS)), CODES).map(
    lambda cut: LOOPS[: cut[0]] + cut[2] + LOOPS[cut[1] :]
)


@settings(deadline=None)
@given(CODES | CUT, CODES | CUT)
def test_any_two_texts_have_a_score_in_range(reference: str, prediction: str) -> None:
    score = codebleu(reference, prediction)
    for part in (score.ngram, score.weighted_ngram, score.syntax, score.dataflow or 0.0):
        assert 0.0 <= part <= 1.0
    assert 0.0 <= score.corrected <= 1.0
    assert 0.0 <= score.total <= 1.0


LINES = '''\
x = 1
x = y
y = x + z  # a comment
x, y = y, x
x, y = f(z, x)
a.b = c + d
a.b = "text"
x = y = z
x: int
x: int = y
x += y
x[0] = y
identifier = comment
for x in y:
for x, z in zip(y, "ab"):
for a.b in c.d:
while x < y:
while not x:
if x:
elif y:
else:
try:
except ValueError as x:
def f(x, y=z, *z, w=(), v=x.y):
async def g():
return x
yield x, y
pass
break
raise x from y
raise from y
with f(x) as y:
global x
del x
print x
lambda x=y: x
[x for x in y if x for z in x]
{x: y for x, y in z}
a.b = [x for x in y]
(y := x)
x not  in y
x is not y
f"{x}{y!r:>{z}}" "text"
r'\\d' + "#" + '#'
"only a text"
# only a comment
"""a docstring"""
print("é", x, "日本", y)
日本 = é
x = "é
x = (y,
)
x = $
class A(x, y=z):
@f
from a import b as c
import a
match x:
case y:
x = y \\
'''.splitlines()
INDENTS = st.sampled_from(["", "    ", "    ", "        ", "        ", "\t", "  ", " \t"])
PROGRAMS = st.lists(
    st.tuples(INDENTS, st.sampled_from(LINES), st.sampled_from(["", "", " ", "\t", "\n", "\r"])),
    min_size=1,
    max_size=14,
).map(lambda lines: "\n".join(map("".join, lines)))
PIECES = st.tuples(PROGRAMS, st.integers(0, 80), st.integers(0, 30)).map(
    lambda cut: cut[0][: cut[1]] + cut[0][cut[1] + cut[2] :]
)
TEXTS = (PROGRAMS | PIECES | CUT | CODES).filter(lambda code: bool(code.strip()))


class FixedOrderSet(dict[Any, None]):
    """What the package's data-flow code needs of `set`, in the order of PYTHONHASHSEED=0."""

    def __init__(self, items: Any = ()) -> None:
        items = list(items)
        names = all(isinstance(item, str) for item in items)
        super().__init__(dict.fromkeys(set_order(items) if names else items))

    def add(self, item: Any) -> None:
        self[item] = None


def in_fixed_order(function: Any) -> Any:
    names = {**function.__globals__, "set": FixedOrderSet}
    copy = types.FunctionType(function.__code__, names, function.__name__)
    names[function.__name__] = copy  # it calls itself
    return copy


def cleaned(code: str) -> str:
    from codebleu.parser import remove_comments_and_docstrings

    with suppress(Exception):
        return str(remove_comments_and_docstrings(code, "python"))
    return code


def by_the_package(reference: str, prediction: str) -> list[float]:
    """The four parts, by the package's own functions."""
    from codebleu import bleu, dataflow_match, syntax_match, weighted_ngram_match
    from codebleu.parser import DFG

    library = module._load_library()
    reference, prediction = reference.strip(), prediction.strip()
    tokens, spoken = reference.split(), prediction.split()
    weights = {token: 1 if token in library.keywords else 0.2 for token in tokens}
    language = library.parser.language
    flow = in_fixed_order(dataflow_match.get_data_flow)
    parser = [library.parser, in_fixed_order(DFG.DFG_python)]
    wanted, given = [
        Counter(map(repr, dataflow_match.normalize_dataflow(flow(cleaned(code), parser))))
        for code in (reference, prediction)
    ]
    return [
        bleu.corpus_bleu([[tokens]], [spoken]),
        weighted_ngram_match.corpus_bleu([[[tokens, weights]]], [spoken]),
        syntax_match.corpus_syntax_match([[reference]], [prediction], "python", language),
        (wanted & given).total() / wanted.total() if wanted else 0.0,
    ]


@settings(deadline=None, max_examples=300)
@given(TEXTS, TEXTS)
def test_any_two_texts_score_as_in_the_package(reference: str, prediction: str) -> None:
    ours = codebleu(reference, prediction)
    parts = [ours.ngram, ours.weighted_ngram, ours.syntax, ours.dataflow or 0.0]
    assert parts == pytest.approx(by_the_package(reference, prediction), abs=1e-9)


RIGHT = "def f(s):\n    for n in s:\n        return n[0]"


@pytest.mark.parametrize(
    "wrong",
    [
        # Without a dedent, without a line end, and with an error that is not in the S-expression.
        'def f(s):\nfor n in len(f"{s)-1):\n        return n[0]',
        "def f(s):\n    if s:\n        return '\\\nor'\n    else: return n[0]self.x = 1",
        'match p""":\n    case [x, *y] if x > 0:\n        y = x\n'
        '    c += 1se {"a": a, **kw}:\n        y = a',
    ],
)
def test_what_the_parser_puts_in_is_part_of_the_tree_as_in_the_package(wrong: str) -> None:
    splat = "print(*k)"
    for reference, prediction in ((RIGHT, wrong), (wrong, RIGHT), (wrong, splat), (splat, wrong)):
        ours = codebleu(reference, prediction)
        parts = [ours.ngram, ours.weighted_ngram, ours.syntax, ours.dataflow or 0.0]
        assert parts == pytest.approx(by_the_package(reference, prediction), abs=1e-9)


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_comments_are_taken_out_as_in_the_package_or_left_to_it(code: str) -> None:
    code = code.strip()
    assert remove_comments(code) in (None, cleaned(code))


def test_most_programs_need_not_be_left_to_the_package() -> None:
    assert remove_comments(LOOPS) is not None
    assert remove_comments("if x:  # why\n\n\ty = '#'  # what\n\tz = (1,\n2)") is not None


def test_the_package_and_the_logging_stay_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    from codebleu import dataflow_match
    from codebleu.parser import DFG

    handlers = list(logging.getLogger().handlers)
    codebleu("print('no data flow')", "print(1)")
    assert caplog.records == []
    assert logging.getLogger().handlers == handlers
    assert not hasattr(DFG, "set")
    assert not hasattr(dataflow_match, "set")


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_import = builtins.__import__

    def no_codebleu(name: str, *rest: object) -> object:
        if name.startswith("codebleu"):
            raise ImportError("No module named 'codebleu'")
        return real_import(name, *rest)  # type: ignore[arg-type]

    module._load_library.cache_clear()
    monkeypatch.setattr(builtins, "__import__", no_codebleu)
    with pytest.raises(UsageError, match=r"pip install 'novicegym\[eval\]'"):
        codebleu("a new text", "another new text")
    monkeypatch.undo()
    module._load_library.cache_clear()
