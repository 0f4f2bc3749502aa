"""Agents and tutors that a command names: slips told at once, and what run.json says of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from novicegym.cli import app
from novicegym.cli.policies import own_code, require_agent, require_tutor
from novicegym.errors import UsageError


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("rollout --out r --agent persistance", "agent 'persistance'. Did you mean 'persistence'"),
        ("rollout --out r --agent novice --tutor silnt", "tutor 'silnt'. Did you mean 'silent'"),
        ("rollout --out r --agent hf:no_folder", "no model directory 'no_folder'"),
        ("rollout --out r --agent on_request:silent", "there is no module 'on_request'"),
        ("rollout --out r --agent novice --tutor math:squirt", "'squirt'. Did you mean 'sqrt'"),
        ("play --as student --tutor on_request:silnt", "tutor 'silnt'. Did you mean 'silent'"),
        ("play --as tutor --student novce", "student 'novce'. Did you mean 'novice'"),
    ],
)
def test_a_slip_in_a_name_is_told_before_the_course_is_opened(command: str, said: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "-c", "no_such_course"])
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


def test_a_module_is_found_where_the_command_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the check adds the current folder
    (tmp_path / "own_policies.py").write_text("def made(course, seed=0): ...", encoding="utf-8")
    with pytest.raises(UsageError, match="there is no module 'own_polices'"):
        require_agent("own_polices:made")
    with pytest.raises(UsageError, match="unknown factory in module 'own_policies' 'mode'"):
        require_agent("own_policies:mode")
    require_agent("own_policies:made")
    require_tutor("on_request:own_policies:made", on_ray=True)


def test_a_package_that_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("1 / 0", encoding="utf-8")
    with pytest.raises(UsageError, match=r"module 'own_package\.x': ZeroDivisionError"):
        require_tutor("own_package.x:tutor")
    # It is there, and what it needs is not.
    (tmp_path / "own_needy.py").write_text("import not_installed", encoding="utf-8")
    with pytest.raises(UsageError, match=r"cannot import module 'own_needy': .*'not_installed'"):
        require_tutor("own_needy:tutor")


def test_a_tutor_on_request_is_another_when_the_tutors_code_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "own_tutors.py"
    file.write_text("x = 1", encoding="utf-8")
    before = own_code("own_tutors:tutor")
    assert before is not None
    assert own_code("on_request:own_tutors:tutor") == before
    file.write_text("x = 2", encoding="utf-8")
    assert own_code("on_request:own_tutors:tutor") not in (before, None)
    assert own_code("on_request:next_step") is None
