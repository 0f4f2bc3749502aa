"""Agents by name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from novicegym.agents.registry import describe_agents, make_agent
from novicegym.dialogs.serialize import DialogFormat
from novicegym.errors import UsageError


@pytest.mark.parametrize("name", ["logged", "persistence", "retrieval", "reference", "novice"])
def test_every_agent_of_ours_is_made_by_its_name(make_course, double, name) -> None:
    assert make_agent(name, make_course(double, {}), seed=1).name == name
    assert name in dict(describe_agents())


def test_anybodys_factory_gets_the_course_and_the_seed(
    make_course, double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_agents.py").write_text(
        "class Mine:\n"
        "    def __init__(self, course, seed):\n"
        "        self.name = f'{course.name}-{seed}'\n"
        "    def act(self, dialogs, infos):\n"
        "        return ['' for _ in dialogs]\n"
        "COUNT = 3\n"
        "def nothing(course, seed):\n"
        "    return 3\n"
        "def unseeded(course):\n"
        "    return Mine(course, 0)\n"
    )
    (tmp_path / "broken_agents.py").write_text("def make(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    course = make_course(double, {})
    agent = make_agent("my_agents:Mine", course, seed=7)
    assert agent.name == "test-7"
    assert agent.act([[], []], [{}, {}]) == ["", ""]
    with pytest.raises(UsageError, match=r"factory in module 'my_agents' 'Mime'.*'Mine'"):
        make_agent("my_agents:Mime", course)
    with pytest.raises(UsageError, match="'COUNT'"):
        make_agent("my_agents:COUNT", course)
    with pytest.raises(UsageError, match="made a int; an agent has a name and act"):
        make_agent("my_agents:nothing", course)
    with pytest.raises(UsageError, match=r"called as unseeded\(course, seed=0\)"):
        make_agent("my_agents:unseeded", course)
    with pytest.raises(UsageError, match="cannot import module 'broken_agents': SyntaxError"):
        make_agent("broken_agents:make", course)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("retreival", "Did you mean 'retrieval'"),
        ("", "unknown agent ''"),
        (":x", "unknown agent ':x'"),
        ("os.path:", "unknown agent 'os.path:'"),
        ("no_such_module_here:make", "there is no module 'no_such_module_here'"),
    ],
)
def test_an_unknown_agent_is_one_clear_line(make_course, double, spec, message) -> None:
    with pytest.raises(UsageError, match=message):
        make_agent(spec, make_course(double, {}))


@pytest.mark.parametrize("name", ["logged", "persistence", "retrieval", "reference", "novice"])
def test_agents_keep_to_the_format_they_are_made_with(
    submit, make_course, double, grader, name
) -> None:
    """A dual agent may send diffs; whatever it sends resolves against the last code."""
    steps = [f"def double(x):\n    y = {n}\n    z = 0\n    return x * y + z" for n in range(4)]
    course = make_course(double, {"me": steps, "a": steps})
    whole = make_agent(name, course, seed=1, grader=grader)
    dual = make_agent(name, course, seed=1, grader=grader, fmt=DialogFormat(code="dual"))
    for position in (1, 2):
        last = steps[position - 1]
        expected = submit(whole, double, last, position=position)
        assert submit(dual, double, last, position=position) == expected


def test_a_language_model_is_sampled_as_asked(small_course, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra: pip install 'novicegym[train]'")
    from novicegym.dialogs.serialize import open_dialog
    from novicegym.training.tiny import ModelSize, course_texts, write_model

    size = ModelSize(hidden=32, layers=1, heads=2, key_value_heads=1, head_dim=16, intermediate=32)
    write_model(course_texts(small_course), tmp_path / "tiny", size, vocabulary=400, seed=0)
    config = tmp_path / "tiny" / "config.json"  # an answer is a quarter of the context at most
    shorter = json.loads(config.read_text()) | {"max_position_embeddings": 2000}
    config.write_text(json.dumps(shorter))
    dialog = open_dialog(small_course.assignments["add"], DialogFormat())
    info = {"student_id": "s", "assignment_id": "add", "position": 0, "step": 0}

    def said(**sampling: float) -> str:
        agent = make_agent(f"hf:{tmp_path / 'tiny'}", small_course, **sampling)
        [answer] = agent.act([dialog], [info])
        return answer

    greedy = said()
    assert len({greedy, said(temperature=1.0), said(temperature=1.0, seed=1)}) == 3
    assert said(temperature=1.0, top_p=1e-9) == greedy


@pytest.mark.parametrize(
    ("spec", "sampling", "message"),
    [
        ("persistence", {"temperature": 0.7}, "'persistence' does not sample"),
        ("novice", {"top_p": 0.9}, "'novice' does not sample: .*hf:"),
        ("my_agents:Mine", {"temperature": 0.7}, "'my_agents:Mine' does not sample"),
        ("hf:x", {"temperature": -1.0}, "temperature must be at least 0, got -1"),
        ("hf:x", {"temperature": math.nan}, "temperature must be at least 0, got nan"),
        ("vllm:x", {"temperature": 1.0, "top_p": 0.0}, "top_p must be above 0 .* got 0"),
        ("openai:x", {"temperature": 1.0, "top_p": 1.5}, "top_p .* at most 1, got 1.5"),
        ("openai:x", {"top_p": 0.9}, "top_p 0.9 changes nothing at temperature 0"),
    ],
)
def test_what_cannot_be_sampled_so_is_one_clear_line(
    make_course, double, spec, sampling, message
) -> None:
    with pytest.raises(UsageError, match=message):
        make_agent(spec, make_course(double, {}), **sampling)
