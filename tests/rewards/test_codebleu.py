"""CodeBLEU: the library's values, whatever the hash seed, for any text."""

from __future__ import annotations

import builtins
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.rewards import codebleu as module
from novicegym.rewards.codebleu import CodeBleu, codebleu

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
