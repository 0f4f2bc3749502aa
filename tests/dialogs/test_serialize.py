"""Trajectories as dialogs and back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.dialogs.serialize import (
    DialogFormat,
    Turn,
    assistant_message,
    open_dialog,
    parse_dialog,
    serialize,
    system_prompt,
)
from novicegym.errors import UsageError
from novicegym.grading.feedback import FEEDBACK_LEVELS, render_feedback
from novicegym.grading.verdict import Verdict

ASSIGNMENT = Assignment(
    id="mean",
    title="Mean",
    prompt="\nWrite a function mean(numbers).\n",
    tests=TestSuite(cases=(CallCase("mean([1, 3])", 2),)),
    entry_point="mean",
)
WRONG = Verdict(Fraction(0), "logical")
PIECES = st.sampled_from(
    ["```", "````", "~~~", "`", "\n", "\r\n", "\r", " ", "    ", "x = 1", "<think>", "</think>",
     "\u2028", "\x0b", "\x85", "\x00", "@@ -1 +1 @@", "+", "-", "<|im_end|>"]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=20).map("".join))
# Edits small enough that the format "dual" writes a diff.
LINES = st.lists(st.sampled_from(["a = 1", "    b = 2", "", "\r", "```", "</think>"]), min_size=20)
VERDICTS = st.builds(
    Verdict, st.fractions(0, 1), st.sampled_from(["logical", "runtime"]), st.just(()), TEXTS
)
FORMATS = st.builds(
    DialogFormat,
    st.sampled_from(["code", "dual"]),
    st.sampled_from(FEEDBACK_LEVELS),
    st.one_of(st.none(), TEXTS),
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"code": "diff"}, "unknown code format 'diff'. Known: code, dual"),
        ({"feedback": "fulll"}, "unknown feedback level 'fulll'. Did you mean 'full'"),
    ],
)
def test_a_format_that_does_not_exist_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DialogFormat(**wrong)


@st.composite
def code_lists(draw: st.DrawFn) -> list[str]:
    """Programs, some a line away from the one before."""
    codes = [draw(st.one_of(TEXTS, LINES.map("\n".join)))]
    for _ in range(draw(st.integers(0, 4))):
        lines = codes[-1].split("\n")
        lines.insert(draw(st.integers(0, len(lines))), draw(PIECES))
        codes.append(draw(st.one_of(st.just("\n".join(lines)), TEXTS)))
    return codes


@given(code_lists(), st.data(), FORMATS, st.booleans())
def test_programs_and_feedback_come_back_to_the_character(
    codes: list[str], data: st.DataObject, fmt: DialogFormat, answered: bool
) -> None:
    turns: list[tuple[str, Verdict | None]] = [(code, data.draw(VERDICTS)) for code in codes]
    if not answered:
        turns[-1] = (codes[-1], None)
    parsed = parse_dialog(serialize(ASSIGNMENT, turns, fmt), fmt)
    assert parsed == [
        Turn(code, None if verdict is None else render_feedback(verdict, fmt.feedback))
        for code, verdict in turns
    ]


@given(st.lists(st.tuples(TEXTS, TEXTS)), FORMATS)
def test_any_feedback_text_comes_back(turns: list[tuple[str, str]], fmt: DialogFormat) -> None:
    dialog = open_dialog(ASSIGNMENT, fmt)
    previous = None
    for code, feedback in turns:
        dialog += [assistant_message(code, previous, fmt), {"role": "user", "content": feedback}]
        previous = code
    assert parse_dialog(dialog, fmt) == [Turn(*turn) for turn in turns]


def test_a_dialog_is_system_then_assignment_then_submission_and_feedback_in_turn() -> None:
    fmt = DialogFormat(feedback="grade")
    dialog = serialize(ASSIGNMENT, [("x = 1\n", WRONG), ("x = 2", None)], fmt)
    assert dialog[1:] == [
        {"role": "user", "content": "Write a function mean(numbers)."},
        {"role": "assistant", "content": "```python\nx = 1\n\n```"},
        {"role": "user", "content": "Grade: 0/100"},
        {"role": "assistant", "content": "```python\nx = 2\n```"},
    ]
    assert dialog[0]["role"] == "system"
    assert "novice student" in dialog[0]["content"]


def test_the_starter_is_shown_and_a_name_the_prompt_omits_is_told() -> None:
    given_code = replace(ASSIGNMENT, starter="\ndef mean(numbers):\n    return 0\n")
    assert open_dialog(given_code, DialogFormat())[1]["content"] == (
        "Write a function mean(numbers).\n\nStart from this code:\n"
        "```python\ndef mean(numbers):\n    return 0\n```"
    )
    unnamed = replace(ASSIGNMENT, prompt="Write the average.")
    text = open_dialog(unnamed, DialogFormat())[1]["content"]
    assert text == "Write the average.\n\nName the function `mean`."


def test_without_feedback_no_message_tells_one_verdict_from_another() -> None:
    fmt = DialogFormat(feedback="none")
    wrong = serialize(ASSIGNMENT, [("x", WRONG)], fmt)
    right = serialize(ASSIGNMENT, [("x", Verdict(Fraction(1), "correct"))], fmt)
    assert wrong == right
    assert "no feedback" in system_prompt(fmt)
    assert "no feedback" not in system_prompt(DialogFormat())


def test_the_system_prompt_states_the_diff_format_only_where_it_is_used() -> None:
    assert "unified diff" in system_prompt(DialogFormat(code="dual"))
    assert "diff" not in system_prompt(DialogFormat())
    assert system_prompt(DialogFormat(code="dual", system_prompt="Be a novice.")) == "Be a novice."


def test_a_small_edit_is_a_diff_in_the_dual_format_and_a_program_elsewhere() -> None:
    before = "".join(f"a{n} = {n}\n" for n in range(30))
    after = before.replace("a7 = 7", "a7 = 8")
    dual = DialogFormat(code="dual")
    assert assistant_message(after, before, dual)["content"].startswith("```diff\n@@ ")
    assert len(assistant_message(after, before, dual)["content"]) < len(after) / 2
    for code, previous, fmt in (
        (after, None, dual),
        (after, before, DialogFormat()),
        (before, before, dual),
        ("a = 1", before, dual),
    ):
        assert assistant_message(code, previous, fmt)["content"] == f"```python\n{code}\n```"


def test_every_call_returns_new_messages() -> None:
    turns = [("x = 1", WRONG)]
    dialog = serialize(ASSIGNMENT, turns, DialogFormat())
    for message in dialog:
        message["content"] = ""
    assert all(message["content"] for message in serialize(ASSIGNMENT, turns, DialogFormat()))


def test_only_the_last_turn_may_lack_a_verdict() -> None:
    with pytest.raises(UsageError, match="turn 1 of 2 has no verdict"):
        serialize(ASSIGNMENT, [("x", None), ("y", WRONG)], DialogFormat())


@pytest.mark.parametrize("keep", [slice(1, None), slice(0, 1), slice(0, None, 2)])
def test_roles_out_of_turn_are_an_error(keep: slice) -> None:
    dialog = serialize(ASSIGNMENT, [("x", WRONG), ("y", WRONG)], DialogFormat())[keep]
    with pytest.raises(UsageError, match="got"):
        parse_dialog(dialog, DialogFormat())
