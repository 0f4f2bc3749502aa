"""`novicegym rollout` of a model behind an API: what the run records, and what it has cost."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("openai", reason="needs the extra: pip install 'novicegym[api]'")

from novicegym.cli import app
from novicegym.errors import NovicegymError, UsageError

# Files of tests are not importable by name.
toy = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[1] / "agents" / "openai_server.py"))
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Serve a model that submits the last program again, priced by the word."""
    with toy.OpenAIServer() as one:
        one.reply = lambda body: body["messages"][-2]["content"]
        for name, value in {
            "NO_PROXY": "127.0.0.1",
            "OPENAI_BASE_URL": one.url,
            "OPENAI_API_KEY": toy.KEY,
            "NOVICEGYM_API_CACHE": str(tmp_path / "answers"),
            "NOVICEGYM_API_CONCURRENCY": "1",
            "NOVICEGYM_API_RETRIES": "0",
            "NOVICEGYM_API_INPUT_PRICE": "2",
            "NOVICEGYM_API_OUTPUT_PRICE": "10",
        }.items():
            monkeypatch.setenv(name, value)
        yield one


def play(out: Path, *options: str) -> BaseException | None:
    arguments = ["--agent", f"openai:{toy.MODEL}", "--split", "trajectories:2", "-o", str(out)]
    result = CliRunner().invoke(app, ["rollout", *arguments, *options])
    assert (result.exit_code == 0) == (result.exception is None)
    return result.exception


def usage(run: Path) -> dict[str, Any]:
    counts: dict[str, Any] = json.loads((run / "usage.json").read_bytes())
    return counts


def failing_after(answers: int) -> Callable[[Any], None]:
    def act(exchange: Any) -> None:
        if exchange.server_of.answered < answers:
            exchange.answer()
        else:
            toy.error(503, "Down for maintenance")(exchange)

    return act


def test_tokens_and_cost_of_a_run_that_was_gone_on_with_add_up(server: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    server.default = failing_after(2)
    assert isinstance(play(run), NovicegymError)
    first = usage(run)
    assert first["answers"] == server.answered
    assert first["requests"] == len(server.received) > first["answers"]
    assert first["cost"] > 0
    server.default = None
    assert play(run) is None
    both = usage(run)
    assert both["answers"] == server.answered
    assert both["requests"] == len(server.received)
    assert both["cost"] == pytest.approx(
        (2 * both["prompt_tokens"] + 10 * both["completion_tokens"]) / 1e6
    )
    finished = (run / "usage.json").read_bytes()
    assert play(run) is None
    assert (run / "usage.json").read_bytes() == finished


def test_a_cost_that_a_part_of_the_run_does_not_know_is_not_known(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    server.default = failing_after(2)
    play(run)
    server.default = None
    monkeypatch.delenv("NOVICEGYM_API_INPUT_PRICE")
    monkeypatch.delenv("NOVICEGYM_API_OUTPUT_PRICE")
    assert play(run) is None
    assert usage(run)["cost"] is None
    assert usage(run)["answers"] == server.answered


def test_counts_that_cannot_be_read_are_told_before_anything_is_paid(
    server: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    server.default = failing_after(0)
    play(run)
    asked = len(server.received)
    for content in ("{", "[]", '{"answers": "two"}'):
        (run / "usage.json").write_text(content)
        error = play(run)
        assert isinstance(error, UsageError)
        assert "usage.json" in str(error)
    assert len(server.received) == asked


def test_a_trial_knows_how_an_endpoint_was_asked_before_any_arm_is_played(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "trial"

    def tried(*arms: str) -> BaseException | None:
        arguments = ["tutor", "compare", *arms, "-n", "2", "--samples", "9", "-o", str(out)]
        return CliRunner().invoke(app, arguments).exception

    model = f"openai:{toy.MODEL}"
    assert tried("silent", model) is None
    asked = len(server.received)
    assert asked
    assert tried("silent", f"on_request:{model}", model) is None
    assert tried("silent", model) is None
    monkeypatch.setenv("NOVICEGYM_API_CONTEXT", "3000")
    other = tried("feedback", model)
    assert isinstance(other, UsageError)
    assert "(source.tutor_endpoint.context)" in str(other)
    assert not (out / "feedback").exists()


def test_the_run_records_how_the_endpoint_is_asked_but_not_the_key(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    assert play(run, "--temperature", "0.7", "--top-p", "0.9") is None
    assert {(one.body["temperature"], one.body["top_p"]) for one in server.received} == {(0.7, 0.9)}
    text = (run / "run.json").read_text()
    assert toy.KEY not in text
    source = json.loads(text)["source"]
    assert source["decoding"] == {"temperature": 0.7, "top_p": 0.9}
    assert source["endpoint"]["base_url"] == f"{server.url}/"
    assert source["agent_code"] is None
    other = play(run, "--temperature", "0.8", "--top-p", "0.9")
    assert isinstance(other, UsageError)
    assert "(source.decoding.temperature)" in str(other)
    monkeypatch.setenv("NOVICEGYM_API_CONTEXT", "3000")
    other = play(run, "--temperature", "0.7", "--top-p", "0.9")
    assert "(source.endpoint.context)" in str(other)
