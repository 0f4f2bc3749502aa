"""What a text looks like: the same for whatever looks the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from novicegym.rewards.looks import plain


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("x = 1\n\ty", "x = 1\n\ty"),
        ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
        ("a\0b\x1b\x7f\x9fc", "abc"),
        ("".join(f"a{chr(code)}" for code in (*range(0x180B, 0x1810), 0xFE0F, 0xE0100)), "a" * 7),
        ("t\u0332o\u0332t\u20dd", "tot"),
        ("e\u0301 \u00e9", "\u00e9 \u00e9"),
        ("a\u1160\u115fb\u034fc\u2065", "abc"),
        ("a\u3164b\uffa0c\u2800d\u1680e\u00a0f\u3000g", "a b c d e f g"),
        ("1\u22122\u20133\u20144\u20105", "1-2-3-4-5"),
        (
            "\u0435 \u0456 \u043e \u0430 \u0441 \u0440 \u0445 \u0443 \u0455 \u0458",
            "e i o a c p x y s j",
        ),
        ("\u0501\u04bb\u04cf", "dhl"),
        ("\u0391\u039d\u0421", "ANC"),
        ("\u65e5\u672c \u0434\u0430", "\u65e5\u672c \u0434a"),
        ("\uff58\uff1d\uff11", "x=1"),
        ("\ud800", "\ud800"),
    ],
)
def test_what_is_seen(written: str, seen: str) -> None:
    assert plain(written) == seen


@given(st.text() | st.text(alphabet="e\u0301\u200b\ufe0f\u1100\u1161\u3164\u0456\r\n"))
@example("\u1100\u200b\u1161")
@example("e\u200b\u0301")
def test_it_is_done_once_and_nothing_unseen_is_left(text: str) -> None:
    seen = plain(text)
    assert plain(seen) == seen
    assert all(
        one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cf", "Mn", "Me") for one in seen
    )
    assert all(one == " " or unicodedata.category(one) != "Zs" for one in seen)
