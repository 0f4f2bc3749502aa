"""The policy that resubmits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from novicegym.agents.persistence import PersistenceAgent
from novicegym.dialogs.serialize import DialogFormat


@pytest.mark.parametrize("code", ["def double(x):\n    return x", "print('```')", "x = ", "\tx"])
def test_the_last_code_is_submitted_again(submit, make_course, double, code) -> None:
    agent = PersistenceAgent(make_course(double, {}))
    assert submit(agent, double, code) == code


def test_without_a_submission_it_is_the_starter_code(submit, make_course, double) -> None:
    agent = PersistenceAgent(make_course(double, {}))
    assert submit(agent, double, "", position=0) == double.starter
    bare = replace(double, starter=None)
    assert submit(PersistenceAgent(make_course(bare, {})), bare, "", position=0) == ""


def test_resubmitting_survives_the_diff_format(submit, make_course, double) -> None:
    agent = PersistenceAgent(make_course(double, {}), fmt=DialogFormat(code="dual"))
    assert submit(agent, double, "def double(x):\n    return x") == "def double(x):\n    return x"
