"""Features of one transition: by hand, and what must not show."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.eval.moves import GradedCode
from novicegym.eval.submission_features import (
    FAMILIES,
    FEATURES,
    transition_features,
)

MINUS = GradedCode("def add(a, b):\n    return a - b\n", 0.25, "logical")
PLUS = GradedCode("def add(a, b):\n    return a + b\n", 1.0, "correct")
BROKEN = GradedCode("def add(a, b)\n    return a + b\n", 0.0, "compile")


def test_families_share_the_features_out() -> None:
    assert list(chain(*FAMILIES.values())) == list(FEATURES)
    assert len(set(FEATURES)) == len(FEATURES)
    assert list(transition_features(MINUS, PLUS)) == list(FEATURES)


def test_one_operator_exchanged() -> None:
    found = transition_features(MINUS, PLUS)
    assert found["unchanged"] == 0
    assert (found["tokens_deleted"], found["tokens_inserted"]) == (1, 1)
    assert found["token_similarity"] == pytest.approx(1 - 2 / 24)
    assert (found["lines_deleted"], found["lines_inserted"]) == (1, 1)
    assert found["places_edited"] == 1
    assert found["ast_same"] == 0
    assert found["ast_distance"] is not None
    assert 0 < found["ast_distance"] < 0.5
    assert found["ast_nodes_delta"] == 0
    assert (found["grade_before"], found["grade_after"], found["grade_delta"]) == (0.25, 1, 0.75)
    assert (found["logical_before"], found["correct_after"], found["same_outcome"]) == (1, 1, 0)
    assert found["logical_after"] == 0
    assert (found["loc"], found["loc_delta"], found["characters_delta"]) == (2, 0, 0)


def test_two_places_and_new_lines() -> None:
    after = GradedCode("# mine\ndef add(a, b):\n\n    c = a - b\n    return c\n", 0.25, "logical")
    found = transition_features(MINUS, after)
    assert found["places_edited"] == 2
    assert (found["lines_deleted"], found["lines_inserted"]) == (1, 4)
    assert (found["comment_lines_delta"], found["blank_lines_delta"]) == (1, 1)
    assert found["same_outcome"] == 1


def test_a_resubmission_is_unchanged() -> None:
    found = transition_features(MINUS, MINUS)
    assert (found["unchanged"], found["token_similarity"], found["ast_same"]) == (1, 1, 1)
    edits = ("tokens_deleted", "lines_inserted", "places_edited", "ast_distance", "pep8_delta")
    assert [found[name] for name in edits] == [0] * 5


def test_a_change_of_comments_leaves_the_tree() -> None:
    found = transition_features(MINUS, GradedCode(MINUS.code + "# why?\n", 0.25, "logical"))
    assert (found["unchanged"], found["ast_same"], found["ast_distance"]) == (0, 1, 0)


@pytest.mark.parametrize("pair", [(MINUS, BROKEN), (BROKEN, PLUS), (BROKEN, BROKEN)])
def test_without_two_trees_their_difference_is_none(pair: tuple[GradedCode, GradedCode]) -> None:
    found = transition_features(*pair)
    for name in (*FAMILIES["AST"], "pep8_delta"):
        assert found[name] is None
    assert (found["pep8"] is None) == (pair[1] is BROKEN)
    assert found["tokens_deleted"] is not None


def test_ends_of_programs_and_lines_do_not_show() -> None:
    wanted = transition_features(MINUS, PLUS)
    code = "\n" + PLUS.code.strip().replace("\n", "\r\n")
    assert transition_features(MINUS, GradedCode(code, 1.0, "correct")) == wanted
    bare = GradedCode(MINUS.code.strip(), 0.25, "logical")
    assert transition_features(bare, PLUS) == wanted


@settings(max_examples=50, deadline=None)
@given(
    st.text(alphabet="ab =1+()\n:\t#", max_size=40),
    st.text(alphabet="ab =1+()\n:\t#", max_size=40),
)
def test_there_and_back_mirrors_deltas(a: str, b: str) -> None:
    old, new = GradedCode(a, 0.0, "runtime"), GradedCode(b, 0.5, "logical")
    there, back = transition_features(old, new), transition_features(new, old)
    for name in FEATURES:
        value, mirror = there[name], back[name]
        if name.endswith("_delta"):
            assert (value is None) == (mirror is None)
            assert value is None or mirror is None or value == -mirror
    assert there["unchanged"] == back["unchanged"]
    assert there["ast_same"] == back["ast_same"]
    assert there["ast_distance"] == back["ast_distance"]
    for name in ("token_similarity", "unchanged"):
        assert 0 <= (there[name] or 0) <= 1
