"""Blocks: what `fence` writes is read back exactly, and models' blocks are found."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from novicegym.dialogs.fences import Block, blocks, fence, sole_block

PIECES = st.sampled_from(
    ["```", "````", "~~~", "`", "\n", "\r\n", "\r", " ", "    ", "\t", "python", "diff", "x = 1",
     "\u2028", "\x0b", "\x1c", "\x85", "\x00", "\ud800"]
)  # fmt: skip
HOSTILE_TEXT = st.one_of(st.text(), st.lists(PIECES, max_size=20).map("".join))


@given(HOSTILE_TEXT)
@example("")
@example("\n")
@example("\n```\n")
@example("x\n```python\ny\n```")
def test_a_written_block_is_read_back_to_the_character(body: str) -> None:
    for label in ("python", "diff"):
        text = fence(label, body)
        assert sole_block(text) == Block(label, body, closed=True)
        assert text.strip() == text  # templates that strip messages change nothing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        "```python\n```",
        "```python\nx\n```\n```python\ny\n```",
        "```python\nx\n````",
        "```py\nx\n```",
        "a\n```python\nx\n```",
    ],
)
def test_other_text_is_no_sole_block(text: str) -> None:
    assert sole_block(text) is None


@given(HOSTILE_TEXT)
def test_any_text_has_blocks(text: str) -> None:
    for block in blocks(text):
        assert "\n" not in block.label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("```python\nx\n```", "python"),
        ("```Python3\nx\n```", "python"),
        ("```py\nx\n```", "py"),
        ("``` {.python .numberLines}\nx\n```", "python"),
        ('```python title="a b"\nx\n```', "python"),
        ("```\nx\n```", ""),
        ("~~~python\nx\n~~~", "python"),
        ("~~~~\nx\n~~~~", ""),
        ("```python\r\nx\r\n```\r\n", "python"),
        ("   ```python\n   x\n   ```", "python"),
        ("\t```python\n\tx\n\t```", "python"),
        ("1. ```python\n   x\n   ```", "python"),
        ("Here it is: ```python\nx\n```", "python"),
        ("```python\nx```", "python"),
        ("```python\nx\n    ```\nThat is all.", "python"),
        ("```python x```", "python"),
        ("```x```", ""),
        ("````python\nx\n````", "python"),
    ],
)
def test_every_way_to_fence_gives_the_same_body(text: str, label: str) -> None:
    (block,) = blocks(text)
    assert (block.label, block.body, block.closed) == (label, "x", True)


def test_a_program_right_behind_the_fence_belongs_to_the_block() -> None:
    assert blocks("```x = 1\ny = 2\n```") == [Block("", "x = 1\ny = 2", True)]


def test_an_unclosed_block_runs_to_the_end() -> None:
    assert blocks("So:\n```python\nx = 1\nprint(") == [Block("python", "x = 1\nprint(", False)]


def test_a_new_labelled_fence_ends_an_unclosed_block() -> None:
    assert blocks("```python\nx\n```python\ny\n```") == [
        Block("python", "x", False),
        Block("python", "y", True),
    ]


def test_a_fence_within_a_docstring_is_part_of_the_program() -> None:
    body = 'def f():\n    """Example:\n\n    ```python\n    f()\n    ```\n    """'
    assert blocks(f"Sure.\n```python\n{body}\n```\n") == [Block("python", body, True)]


def test_an_indented_program_in_an_unindented_fence_keeps_its_indentation() -> None:
    assert blocks("```python\n  x = 1\n  y = 2\n```\n.")[0].body == "  x = 1\n  y = 2"
