"""Style of programs: the golden values, and what does not count as style."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.errors import UsageError
from novicegym.eval import style
from novicegym.eval.style import Style, style_of


@pytest.fixture(scope="module")
def golden(shared: Path) -> list[dict[str, Any]]:
    programs: list[dict[str, Any]] = json.loads((shared / "golden/style.json").read_text("utf-8"))[
        "programs"
    ]
    return [program for program in programs if program["features"] is not None]


def test_size_and_tree_are_the_golden_ones(golden: list[dict[str, Any]]) -> None:
    assert len(golden) > 90
    for program in golden:
        found, wanted = style_of(program["code"]), program["features"]
        assert (found.loc, found.characters) == (wanted["loc"], wanted["char_count"])
        shape = (found.ast_depth, found.ast_width, found.ast_nodes, found.ast_branching)
        if wanted["ast_depth"] == -1:
            assert (*shape, found.pep8) == (None,) * 5
        else:
            names = ("ast_depth", "ast_width", "ast_node_count", "ast_avg_branching")
            assert shape == pytest.approx(tuple(wanted[name] for name in names), abs=1e-9)


def test_pep8_of_the_golden_wrapper_is_the_golden_count_with_newlines_kept(
    golden: list[dict[str, Any]],
) -> None:
    """The golden counts are of a function wrapped around each program; ours are not."""
    compared = 0
    for program in golden:
        lines = program["code"].strip().splitlines()
        wrapped = "def _tmp_func():\n" + "\n".join("    " + line.rstrip() for line in lines)
        found = style_of(wrapped).pep8
        if found is not None:
            assert found == program["pep8_with_newlines_kept"], program["id"]
            compared += 1
    assert compared > 70


def test_style_by_hand() -> None:
    code = "# sum\ndef add(a,b):\n\n    return a + b"
    assert style_of(code) == Style(
        loc=4,
        blank_lines=1,
        comment_lines=1,
        characters=len(code),
        ast_depth=5,  # module, def, return, a + b, a, its context
        ast_width=3,  # a, +, b
        ast_nodes=12,
        ast_branching=11 / 7,
        pep8=1,  # E231: no space after the comma
    )


def test_code_that_does_not_parse_has_a_size_only() -> None:
    found = style_of("def add(a, b)\n    return a")
    assert (found.loc, found.characters) == (2, 26)
    assert (found.ast_depth, found.ast_width, found.ast_nodes) == (None, None, None)
    assert (found.ast_branching, found.pep8) == (None, None)


@pytest.mark.parametrize("blank", ["", "  \n\t\n"])
def test_a_blank_text_has_no_lines(blank: str) -> None:
    assert style_of(blank) == Style(0, 0, 0, 0, 0, 1, 1, 0.0, 0)


def test_what_serialization_does_to_a_program_is_not_its_style() -> None:
    code = "x = 1\nif x:\n    print(x)"
    for same in (code + "\n", "\n\n" + code + "\n\n", code.replace("\n", "\r\n") + "\r\n"):
        assert style_of(same) == style_of(code)


def test_a_configuration_of_the_user_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pycodestyle

    code = "x = 1\nvalue = x + 1 + 2 + 3"
    before = style_of(code).pep8
    (tmp_path / "setup.cfg").write_text("[pycodestyle]\nmax-line-length = 10\n")
    monkeypatch.setattr(pycodestyle, "USER_CONFIG", str(tmp_path / "setup.cfg"))
    monkeypatch.chdir(tmp_path)
    style_of.cache_clear()
    style._checks.cache_clear()
    assert pycodestyle.StyleGuide().options.max_line_length == 10  # the trap is set
    assert style_of(code).pep8 == before == 0
    style._checks.cache_clear()


def test_without_pycodestyle_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pycodestyle", None)
    style_of.cache_clear()
    style._checks.cache_clear()
    with pytest.raises(UsageError, match=r"pip install 'novicegym\[eval\]'"):
        style_of("x = 1")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="if x:=(1)\n\t #'\"\\\x0c\x00\ud800", max_size=60))
def test_any_text_has_a_style(text: str) -> None:
    found = style_of(text)
    assert found.loc == (text.replace("\r\n", "\n").replace("\r", "\n").strip().count("\n") + 1) * (
        bool(text.strip())
    )
    assert (found.pep8 is None) == (found.ast_nodes is None)
