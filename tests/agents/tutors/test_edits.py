"""Edits in words, and programs in another's looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.agents.tutors.edits import describe, faults_that_matter
from novicegym.agents.tutors.hand import in_hand_of, same_line
from novicegym.agents.tutors.words import own_names, printable, spoken
from novicegym.courses.syntax import ast_key

CODE = """\
def largest(values):
    best = 0

    for value in values:
        if value < best:
            best = value
        print(best)
    return best
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("value < best", "value > best", "line 5: the comparison `<` in it is not right."),
        ("best = 0", "best = 1", "line 2: the number in it is not right."),
        (
            "best = 0",
            "best = values[0]",
            "line 2: an index is missing in it. It concerns `values`.",
        ),
        ("best = value", "best = best", "line 6: the name `value` in it is not right. It concerns"),
        ("in values:", "in values", "line 4: a colon is too much."),
        ("if value", "if not value", "line 5: an operator is missing in it."),
        ("print(best)", "print(best, value)", "line 7: a name is missing in it."),
        ("return", "print", "line 8: the word `return` in it is not right."),
        ("        print(best)\n", "", "line 7: it does not belong there."),
        ("    return best\n", "", "line 8: it does not belong there."),
        ("    return best", "        return best", "line 8: it is indented not far enough."),
        ("        print(", "    print(", "line 7: it is indented too far."),
        (
            "    best = 0\n",
            "    best = 0\n    count = 0\n",
            "line 2: an assignment is missing after",
        ),
        ("def lar", "import math\ndef lar", "line 1: an import is missing before it."),
        (
            "        print(best)\n",
            "        print(best)\n        if value == 7:\n            break\n",
            "line 7: a condition and more with it are missing after it. It concerns `value`.",
        ),
    ],
)
def test_an_edit_is_described_by_line_and_kind(old, new, said) -> None:
    assert CODE.count(old) == 1
    target = CODE.replace(old, new)
    [fault] = faults_that_matter(CODE, target)
    assert describe(CODE, fault).startswith(f"Look at {said}")


def test_a_missing_colon_is_no_more_than_that() -> None:
    broken = CODE.replace("best:", "best")
    [fault] = faults_that_matter(broken, CODE)
    assert describe(broken, fault) == "Look at line 5: a colon is missing at its end."


def test_looks_are_no_edit() -> None:
    other = CODE.replace("    ", "  ").replace(" = ", "=").replace("print(", "print( ")
    other = other.replace("\n\n", "\n# and now\n")
    assert faults_that_matter(CODE, in_hand_of(other, CODE)) == []
    assert faults_that_matter(CODE, CODE.replace("best = 0", "best=0  # so far")) == []
    assert same_line("x = 'a'", 'x="a" # a')
    assert not same_line("x = 'a'", "  x = 'a'")


def test_a_text_over_several_lines_is_left_as_it_is() -> None:
    program = 'def f():\n    return """\n        a\n    """\n'
    assert in_hand_of(program, "def g():\n  return 1\n") == program


TEXTS = st.text(st.sampled_from("xyif:=()'\"#\n\t +<1.[]`\\\x00\x0c\r"), max_size=60)


@given(TEXTS, TEXTS)
def test_any_two_texts_can_be_compared_and_what_is_said_is_one_printable_line(old, new) -> None:
    for fault in faults_that_matter(old, new):
        said = describe(old, fault)
        assert said.isprintable()
        assert len(said) < 250


@given(st.sampled_from([CODE, "x = 1\nif x:\n\tprint('a')\n"]), TEXTS)
def test_a_program_in_another_hand_is_the_same_program(program, code) -> None:
    assert ast_key(in_hand_of(program, code)) == ast_key(program)


def test_only_names_that_are_the_students_own_are_hers() -> None:
    assert own_names("total = len(values)\nvalues.append(total)") == ["total", "values"]
    assert own_names("x" * 31 + " = 1") == []


@given(st.text(), st.integers(5, 80))
def test_texts_of_others_are_made_printable_and_short(text, most) -> None:
    assert printable(text, most).isprintable()
    assert len(printable(text, most)) <= most
    said = spoken(text)
    assert said == said.strip() == spoken(said)
    assert all(char == "\n" or char.isprintable() for char in said)
