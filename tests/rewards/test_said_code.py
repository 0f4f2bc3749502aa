"""Which programs a message shows, and which of its rows are told again."""

from __future__ import annotations

import time

import pytest

from novicegym.rewards.said_code import MAX_CHARACTERS, Retold, rows_of, shown_programs


def test_programs_are_shown_as_seen_and_as_written() -> None:
    russian = "print('\u0434\u0430')"
    assert shown_programs("See:\n```\nx = 1\n```") == ["x = 1", "See:\n```\nx = 1\n```"]
    assert russian in shown_programs(f"```\n{russian}\n```")
    assert "x = 1" in shown_programs("```\nx\u200b = 1\n```")


@pytest.mark.parametrize("text", ["```\nx = 1\n```\n" * 80_000, "\ufdfa" * 2_000])
def test_a_text_that_is_too_long_shows_nothing_at_once(text: str) -> None:
    started = time.process_time()
    assert shown_programs(text) == []
    assert time.process_time() - started < 0.5
    assert shown_programs("x" * MAX_CHARACTERS)


def test_whole_rows_are_told_again_and_the_beginnings_of_long_ones() -> None:
    long = "total = total + price  # " + "and so on " * 10
    rows = rows_of(f"  n = 1\nok\nsay\x1b[1m\n{long}\n")
    assert rows == {"n = 1", "say[1m", "say\\x1b[1m", long.strip()}
    text = f'prints "n = 1", not "n = 12" or "{long[:60]} ..." or {long[:60]}.'
    retold = Retold(text, rows)
    assert retold.holds(text.index("n = 1"), text.index("n = 1") + 5)
    assert not retold.holds(text.index("n = 12"), text.index("n = 12") + 6)
    first = text.index("total")
    assert retold.holds(first, first + 60)
    assert retold.parts(first, first + 60)
    cut = text.index("...") + 3
    assert retold.holds(first, cut)
    assert not retold.holds(first, cut + 1)
    last = text.rindex("total = ")
    assert not retold.holds(last, last + 60), "it is not said to be cut"
    assert not Retold("", rows).holds(0, 0)
