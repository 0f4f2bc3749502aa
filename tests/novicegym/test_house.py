"""The house: which room may import which, and what importing novicegym costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# As in docs/architecture.md: imports run down this table only.
MAY_IMPORT = {
    "courses": set(),
    "grading": {"courses"},
    "dialogs": {"courses", "grading.verdict", "grading.feedback"},
    "rewards": {"courses", "grading.verdict", "dialogs.fences"},
    "envs": {"courses", "grading", "dialogs", "rewards"},
    "agents": {"courses", "grading", "dialogs"},
    "training": {"courses", "grading", "dialogs", "rewards", "envs", "agents"},
    "eval": {"courses", "grading", "dialogs", "rewards", "envs", "agents"},
}
# The zygote executes these by path, in a process that has nothing of ours.
RUN_IN_THE_SANDBOX = ("zygote.py", "child.py")
# Loaded only where a command or a user asks for a model, or for both chairs at once.
NEED_AN_EXTRA = (
    "agents.generation",
    "envs.tutoring",
    *(f"training.{name}" for name in ("dapo", "dpo", "fit", "sft")),
)
HEAVY = [
    *("torch", "transformers", "trl", "peft", "datasets", "ray", "codebleu", "matplotlib"),
    *("sklearn", "pycodestyle", "rapidfuzz", "openai", "httpx2", "anyio", "pettingzoo"),
]


def imported_modules(source: str) -> set[str]:
    """Return the novicegym modules a source imports, without the prefix."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("novicegym.") for name in names if name.startswith("novicegym.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_what_stands_above_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room, "errors", "runs", "__version__"}
    sources = sorted((ROOT / room).rglob("*.py"))
    assert sources
    for source in sources:
        for module in imported_modules(source.read_text("utf-8")):
            parts = module.split(".")
            prefixes = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
            assert prefixes & allowed, f"{source.relative_to(ROOT)} imports novicegym.{module}"


def run_python(code: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_is_light() -> None:
    out = run_python(
        "import sys, novicegym, novicegym.envs.student, novicegym.envs.tutoring_v0, novicegym.cli\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert out.strip() == "[]"


def test_every_module_imports_without_the_extras() -> None:
    """The base install imports clean: no module but those named needs an extra at import."""
    modules = sorted(
        "novicegym." + str(path.relative_to(ROOT).with_suffix("")).replace(os.sep, ".")
        for room in MAY_IMPORT
        for path in (ROOT / room).rglob("*.py")
        if path.name not in ("__init__.py", *RUN_IN_THE_SANDBOX)
    )
    modules = [name for name in modules if not name.endswith(NEED_AN_EXTRA)]
    blocked = [*HEAVY, "tree_sitter", "tree_sitter_python", "pandas"]
    run_python(
        "import sys, importlib\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)"
    )
