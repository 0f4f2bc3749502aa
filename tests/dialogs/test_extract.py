"""Programs found in whatever a model says."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novicegym.dialogs.extract import Extraction, extract_code, is_give_up
from novicegym.dialogs.serialize import DialogFormat, assistant_message

# Random text seldom holds what breaks a reader of fences; these pieces do.
PIECES = st.sampled_from(
    ["```", "````", "~~~", "`", "\n", "\r\n", "\r", " ", "    ", "\t", "python", "diff", "x = 1",
     "<think>", "</think>", "\u2028", "\x0b", "\x1c", "\x85", "\x00", "@@ -1 +1 @@", "+", "-",
     "\\ No newline at end of file", "--- a", "+++ b", "#", "\ud800", "é"]
)  # fmt: skip
HOSTILE_TEXT = st.one_of(st.text(), st.lists(PIECES, max_size=20).map("".join))

PREVIOUS = "a = 1\nb = 2\nprint(a - b)\n"
PATCHED = "a = 1\nb = 2\nprint(a + b)\n"
DIFF = "@@ -2,2 +2,2 @@\n b = 2\n-print(a - b)\n+print(a + b)"
GOOD = "```python\nx = 1\n```"


@given(HOSTILE_TEXT, st.one_of(st.none(), HOSTILE_TEXT))
def test_no_text_raises(completion: str, previous: str | None) -> None:
    extraction = extract_code(completion, previous)
    assert (extraction.kind == "empty") == (not extraction.code.strip())


@given(HOSTILE_TEXT, st.one_of(st.none(), HOSTILE_TEXT), st.sampled_from(["code", "dual"]))
def test_a_serialized_submission_is_extracted_exactly(
    code: str, previous: str | None, code_format: str
) -> None:
    fmt = DialogFormat(code="dual" if code_format == "dual" else "code")
    content = assistant_message(code, previous, fmt)["content"]
    for completion in (content, f" \n{content}\n", f"<think>\nHm ```\n</think>\n\n{content}"):
        assert extract_code(completion, previous).code == code


@pytest.mark.parametrize(
    "completion",
    [
        GOOD,
        "Here is my program:\n\n```python\nx = 1\n```\nIt sets x.",
        "```py\nx = 1\n```",
        "```\nx = 1\n```",
        "~~~\nx = 1\n~~~",
        "```python\nx = 1",
        "```python\nx = 1\n``",
        "x = 1\n```",
        "x = 1",
        "  x = 1\n",
        "```text\nsome output\n```\n```python\nx = 1\n```",
        "```\nsome output\n```\n```python\nx = 1\n```",
        "```\nsome output\n```\n```python\nx = 1",
        "```python\n\n```\n```python\nx = 1\n```",
        "```python\nx = 1\n```\nThen:\n```python\nx = 2\n```",
        "```python\nx = 1\n```\nuser\nTests passed: 1/8\nassistant\n<think>\n</think>\n" + GOOD,
        "```javascript\nx = 1\n```",
        "<think>```python\nx = 2\n```</think>" + GOOD,
        "<think>\nLet me see.\n</think>\n\nx = 1",
        "<THINKING>no</THINKING>\n" + GOOD,
        "I could write ```python\nx = 2\n``` here.\n</think>\n" + GOOD,
        "<think>a</think>\n<think>b</think>\n" + GOOD,
        "So.\n<think>```python\nx = 2\n```\n</think>\n" + GOOD,
        GOOD + "\n<think>And now the feedback",
    ],
)
def test_one_program_is_found(completion: str) -> None:
    code = extract_code(completion).code
    assert code.removesuffix("\n``") == "x = 1"


@pytest.mark.parametrize(
    "completion",
    ["", " \n", "```python\n```", "```python\n\n```", "```python", "```\n\n```", "```",
     "<think>```python\nx = 1\n```", "<think>Hm.</think>\n", "```diff\n\n```"],
)  # fmt: skip
def test_nothing_is_empty(completion: str) -> None:
    assert extract_code(completion, PREVIOUS) == Extraction("", "empty")


def test_prose_is_submitted_as_it_stands() -> None:
    assert extract_code("I do not know.") == Extraction("I do not know.", "raw")


def test_a_thinking_tag_within_code_is_code() -> None:
    code = "print('<think>')\nprint('</think>')"
    assert extract_code(f"Mine:\n```python\n{code}\n```").code == code


@pytest.mark.parametrize(
    "completion",
    [
        f"```diff\n{DIFF}\n```",
        f"I change a sign.\n```patch\n{DIFF}\n```\nDone.",
        f"```\n{DIFF}\n```",
        DIFF,
        f"--- a/main.py\n+++ b/main.py\n{DIFF}",
        f"```diff\n{DIFF}",
    ],
)
def test_a_diff_is_applied_to_the_previous_submission(completion: str) -> None:
    assert extract_code(completion, PREVIOUS) == Extraction(PATCHED, "diff")


def test_a_diff_that_does_not_apply_is_submitted_as_it_stands() -> None:
    for previous in (None, "", "other\n"):
        assert extract_code(f"```diff\n{DIFF}\n```", previous) == Extraction(DIFF, "raw")


def test_a_python_block_is_never_taken_for_a_diff() -> None:
    assert extract_code(f"```python\n{DIFF}\n```", PREVIOUS) == Extraction(DIFF, "fence")


@pytest.mark.parametrize(
    "hostile",
    [
        "`",
        "~",
        "```",
        "```\n",
        "```python ",
        "```python\n",
        "x ```python\n",
        "\n    ```",
        "<think>",
        "</think>",
        "<think>a</think>b",
        "<think>\n</think>x\n",
        "x<think>y</think>",
        " ",
        "\t\n",
        "\r",
        ">",
        "@@ -1 +1 @@\n-a\n+a\n",
        "@@ -9 +9 @@\n-a\n+a\n",
        "@@\n a\n-a\n+b\n",
        "```a```",
    ],
)
def test_time_is_linear_in_hostile_text(hostile: str) -> None:
    text = hostile * (200_000 // len(hostile))
    for completion in (text, text + "x", "```diff\n" + text, "```python\n" + text + "```"):
        begin = time.process_time()
        extract_code(completion, "a\n" * 5000)
        assert time.process_time() - begin < 5  # a quadratic step would take minutes


def test_a_megabyte_of_backticks_is_extracted() -> None:
    begin = time.process_time()
    assert extract_code("`" * 1_000_000).kind == "empty"
    assert extract_code("x" + "`" * 1_000_000).code == "x"
    code = "`" * 1_000_000
    assert extract_code(assistant_message(code, None, DialogFormat())["content"]).code == code
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("code", "gives_up"),
    [
        ("exit()", True),
        ("quit\n", True),
        ("# I give up\n\n  exit()  # really", True),
        ("exit", True),
        ("quit()", True),
        ("", False),
        ("exit(0)", False),
        ("exit()\nexit()", False),
        ("print('exit()')", False),
        ("import sys\nexit()", False),
    ],
)
def test_giving_up_is_a_bare_exit(code: str, gives_up: bool) -> None:
    assert is_give_up(code) is gives_up
