"""Every command and every Python example in the README and in docs/ is run."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Its figures are of hours of work; what can be run again in two minutes is, but not each time.
SLOW_PAGES = ("results.md",)

# These run this test suite, or are it.
NOT_HERE = ("make test", "make demo")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def commands(page: Path) -> list[tuple[str, str]]:
    """Return (command, output shown below it) of the page's console blocks.

    A command is one line, lines that end with a backslash, or a here document up to EOF.
    """
    found = []
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            match = re.match(r"(.*<<'EOF'\n(?:.*\n)*?EOF|(?:.*\\\n)*.*)\n", part)
            assert match is not None
            command = re.sub(r"\s+#\s.*$", "", match[1].replace("\\\n", " "))
            if not command.startswith(NOT_HERE):
                found.append((command, part[match.end() :]))
    return found


def lines(text: str) -> list[str]:
    """Return the lines without what a reader cannot see."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n").splitlines()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW_PAGES else []
        )
        for page in PAGES
    ],
)
def test_commands_of_the_page_run_and_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    """The commands run in order in an empty folder; $ITAP and $NUS are the real logs."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ITAP": str(SHARED / "data" / "itap"),
        "NUS": str(SHARED / "data" / "nus"),
        "NOVICEGYM": str(ROOT),
    }
    skipped = []
    for command, shown in commands(page):
        if re.search(r"\$|runs/itap", command) and not SHARED.is_dir():
            skipped.append(command)
            continue
        result = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, f"$ {command}\n{result.stdout}\n{result.stderr}"
        if shown.strip():
            assert lines(result.stdout) == lines(shown), f"$ {command}"
    if skipped:
        pytest.skip(f"{len(skipped)} commands need the real logs, which are not at {SHARED}")


# What takes minutes to hours, made short; what needs weights of the hub, as far as that goes.
SHORT = (
    ("-m novicegym train", None),  # tests/training/test_processes.py
    ("-r qwen3", "--show"),
    ("runs/lockers", "--show"),  # its base holds out students of the whole term
    ("benchmarks/after_tutoring.py", "silent solution --n 6 --samples 2"),
    ("benchmarks/leak_scale.py", "--states 4"),
    ("benchmarks/novice_hints.py", "--states 4"),
    ("benchmarks/hint_requests.py", "--samples 20 --splits 1"),
    ("benchmarks/", None),
    ("hf:runs/dpo -c progsnap2", None),  # after a run with those weights
    ("hf:runs/sft --ray", None),  # after a run of another page; on a cluster
    ("openai:", None),  # tests/cli/test_rollout_api.py
    ("pip install", None),
    ("novicegym report runs/", None),  # of other commands' runs; evaluation.md has one that is run
    ("novicegym tutor compare", "--n 6 --episodes 2 --samples 200 --split trajectories:60"),
    ("novicegym play", "--out play < /dev/null"),
    ("--ray", "--split trajectories:40"),
    ("novicegym train dapo", "--split trajectories:10 --set epochs=0.1 --set completion=16"),
    ("novicegym train", "--split trajectories:10 --set epochs=0.1 --set context=1024"),
    ("on_request:", "--split trajectories:30"),
    ("novicegym rollout", "--split trajectories:1"),
    ("", ""),
)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_long_commands_of_the_page_run_when_they_are_made_short(page: Path, tmp_path: Path) -> None:
    """The blocks marked `sh`: as they stand, with less to do."""
    pytest.importorskip("trl", reason="the train extra is not installed")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ITAP": str(SHARED / "data" / "itap"),
        "NOVICEGYM": str(ROOT),
    }
    for block in blocks(page, "sh"):
        for command in block.replace("\\\n", " ").splitlines():
            short = next(ending for key, ending in SHORT if key in command)
            if short is None or ("$ITAP" in command and not SHARED.is_dir()):
                continue
            for name in re.findall(r"--set (\w+)=", short):  # nothing is set twice
                command = re.sub(rf"--set {name}=\S+", "", command)
            result = subprocess.run(
                ["bash", "-c", f"{command} {short}"],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
            )
            assert result.returncode == 0, f"{command} {short}\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_of_the_page_run(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "python"):
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", block],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)", text, re.M)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_make_has_the_two_commands() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in NOT_HERE:
        assert f"\n{command.split()[1]}:" in makefile


def modules_with_examples() -> list[str]:
    rooms = ["courses", "grading", "dialogs", "rewards", "envs", "agents", "eval"]
    sources = [source for room in rooms for source in sorted((ROOT / room).rglob("*.py"))]
    return ["novicegym"] + [
        "novicegym." + ".".join(source.relative_to(ROOT).with_suffix("").parts)
        for source in sources
        if ">>> " in source.read_text("utf-8")
    ]


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_in_docstrings_run(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0
