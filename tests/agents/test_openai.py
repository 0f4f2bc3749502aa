"""The agent behind an API, against a real server on this machine and its failures."""

from __future__ import annotations

import asyncio
import json
import runpy
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("openai", reason="needs the extra: pip install 'novicegym[api]'")

from novicegym.agents.api_settings import ApiSettings
from novicegym.agents.base import Asked, StreamingAgent
from novicegym.agents.openai import OpenAIAgent
from novicegym.agents.registry import make_agent
from novicegym.agents.response_cache import Answer, cache_key, default_cache, open_cache
from novicegym.dialogs.extract import extract_code
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.errors import AgentError, EndpointError, UsageError
from novicegym.eval.records import read_records
from novicegym.eval.rollouts import rollout

# Files of tests are not importable by name.
toy = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("openai_server.py"))))

# A failed request is sent again after half a second, or when the server says.
SOON = {"retry_after_ms": "20"}


@pytest.fixture(autouse=True)
def _no_proxy_and_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def server() -> Iterator[Any]:
    with toy.OpenAIServer() as one:
        yield one


@pytest.fixture
def seat(server: Any, tmp_path: Path) -> Callable[..., OpenAIAgent]:
    """Make an agent of the server; equal calls share a cache."""

    def make(model: str = toy.MODEL, **options: Any) -> OpenAIAgent:
        settings = {name: options.pop(name) for name in ApiSettings.__slots__ if name in options}
        return OpenAIAgent(
            model,
            **{
                "api_key": toy.KEY,
                "base_url": server.url,
                "cache": tmp_path / "responses.sqlite",
                "settings": ApiSettings(**{"retries": 3, **settings}),
            }
            | options,
        )

    return make


def dialog(text: str) -> Dialog:
    return [
        {"role": "system", "content": "You are a novice."},
        {"role": "user", "content": "Write double(x)."},
        {"role": "assistant", "content": "```python\npass\n```"},
        {"role": "user", "content": text},
    ]


def info(student: str = "me", step: int = 0) -> dict[str, Any]:
    return {"student_id": student, "assignment_id": "double", "position": 3, "step": step}


def ask(agent: OpenAIAgent, *texts: str) -> list[str]:
    return agent.act([dialog(text) for text in texts], [info() for _ in texts])


def test_a_request_is_the_dialog_and_greedy_sampling(server, seat) -> None:
    assert ask(seat(seed=7), "wrong") == ["wrong"]
    [received] = server.received
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {toy.KEY}"
    assert received.body == {
        "model": toy.MODEL,
        "messages": dialog("wrong"),
        "max_tokens": 1024,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 7,
    }


def test_answers_come_in_order_of_the_dialogs_and_requests_at_once_are_bounded(
    server, seat
) -> None:
    full = threading.Barrier(4)
    # None of four is answered before all have come; then the last one first.
    server.plan = [toy.slowly(0.05 * (8 - n), after=full) for n in range(8)]
    texts = [f"try {n}" for n in range(8)]
    assert ask(seat(concurrency=4), *texts) == texts
    assert server.most_at_once == 4


TRANSIENT = {
    "429": toy.error(429, "Rate limit reached", "rate_limit_exceeded", **SOON),
    "500": toy.error(500, "The server had an error", **SOON),
    "503": toy.error(503, "Overloaded", **SOON),
    "timeout": toy.hang,
    "reset in the body": toy.reset_in_the_body,
    "closed": toy.close_at_once,
    "malformed JSON": toy.sends(b'{"choices": [{"mess'),
    "not UTF-8": toy.sends(b'{"choices": "\xff\xfe'),
    "a page": toy.sends(b"<html>502</html>", kind="text/html"),
    "no choices": toy.sends({"object": "chat.completion", "choices": []}),
    "null": toy.sends(b"null"),
    "an error with status 200": toy.sends({"error": {"message": "upstream", "code": 502}}),
    "an answer that broke off": toy.says("def dou", "error"),
    "content that is no text": toy.says([{"type": "text", "text": "x = 1"}]),
}


@pytest.mark.parametrize("failure", TRANSIENT.values(), ids=TRANSIENT)
def test_a_failure_of_the_endpoint_is_retried(server, seat, failure) -> None:
    server.plan = [failure]
    agent = seat(timeout=1.5 if failure is toy.hang else 60)
    assert ask(agent, "again") == ["again"]
    assert len(server.received) == 2
    assert agent.usage()["requests"] == 2
    assert agent.usage()["retries"] == 1
    assert agent.usage()["answers"] == 1


def test_a_server_that_says_when_is_asked_no_earlier(server, seat) -> None:
    server.plan = [toy.error(429, "Slow down", retry_after="1")]
    assert ask(seat(), "x") == ["x"]
    first, second = server.received
    assert second.at - first.at >= 1.0


@pytest.mark.parametrize("failure", TRANSIENT.values(), ids=TRANSIENT)
def test_a_failure_that_lasts_is_an_error_and_no_answer(server, seat, failure) -> None:
    server.default = failure
    with pytest.raises(AgentError, match=r"no answer from .* after 1 retries: .+same command"):
        ask(seat(timeout=0.3 if failure is toy.hang else 60, retries=1), "x")
    assert len(server.received) == 2
    server.default = None
    assert ask(seat(), "x") == ["x"]


PERMANENT = {
    "key": ({"api_key": "sk-wrong-key"}, "does not accept OPENAI_API_KEY: .*401.*Incorrect"),
    "model": ({"model": "toy-2"}, "no model 'toy-2' at .*404.*does not exist"),
    "path": ({"base_url": "/v2"}, "OPENAI_BASE_URL is wrong .*404.*POST /v2/chat"),
}


@pytest.mark.parametrize(("options", "message"), PERMANENT.values(), ids=PERMANENT)
def test_a_mistake_of_the_user_is_told_at_once(server, seat, options, message) -> None:
    if "base_url" in options:
        options = {"base_url": server.url.removesuffix("/v1") + options["base_url"]}
    with pytest.raises(EndpointError, match=message) as raised:
        ask(seat(**options), "x")
    assert len(server.received) == 1
    assert "sk-wrong-key" not in str(raised.value)


def test_a_refused_request_names_the_assignment_and_what_changes_it(server, seat) -> None:
    said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.plan = [toy.error(400, said, "unsupported_parameter")]
    with pytest.raises(UsageError, match=r"'double': .*max_completion_tokens.*NOVICEGYM_API_BODY"):
        ask(seat(), "x")
    assert ask(seat(body={"max_tokens": None, "max_completion_tokens": 9}), "x") == ["x"]
    assert server.received[-1].body["max_completion_tokens"] == 9
    assert "max_tokens" not in server.received[-1].body


SAID = {
    "refusal": (toy.says(None, refusal="I can't help."), "I can't help.", {"refused": 1}),
    "content filter": (toy.says(None, "content_filter"), "", {"refused": 1}),
    "filtered prompt": (toy.error(400, "filtered", "content_filter"), "", {"refused": 1}),
    "nothing": (toy.says(None), "", {"refused": 0}),
    "cut off": (toy.says("```python\nx =", "length"), "```python\nx =", {"cut": 1}),
    "thinking until the limit": (
        toy.says(None, "length", reasoning_content="Hm"), "", {"cut": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("act", "said", "usage"), SAID.values(), ids=SAID)
def test_what_the_model_says_is_its_answer_and_is_kept(server, seat, act, said, usage) -> None:
    server.plan = [act]
    agent = seat()
    assert ask(agent, "x") == [said]
    assert usage.items() <= agent.usage().items()
    assert ask(seat(), "x") == [said]
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "said",
    [
        "<think>\nI would write ```python\nx = 2\n```.\n</think>\n\n```python\nx = 1\n```",
        "So x is 1: ```python\nx = 2\n```\n</think>\n\n```python\nx = 1\n```",
        "<think>\n\n</think>\n\n```python\nx = 1\n```",
        "<think>Hm.</think>x = 1",
    ],
)
def test_thinking_does_not_hide_the_program(server, seat, said) -> None:
    server.plan = [toy.says(said)]
    assert [extract_code(one).code for one in ask(seat(), "x")] == ["x = 1"]


def test_a_thought_without_an_end_is_an_empty_program(server, seat) -> None:
    server.plan = [toy.says("<think>\nMaybe ```python\nx = 2\n```", "length")]
    assert [extract_code(one).kind for one in ask(seat(), "x")] == ["empty"]


def test_equal_requests_are_paid_once(server, seat) -> None:
    agent = seat()
    assert ask(agent, "a", "b", "a") == ["a", "b", "a"]
    assert ask(seat(), "b", "c") == ["b", "c"]
    assert sorted(one.body["messages"][-1]["content"] for one in server.received) == [*"abc"]
    assert agent.usage()["cache_hits"] == 1


def test_without_a_cache_every_batch_is_asked(server, seat) -> None:
    for _ in range(2):
        ask(seat(cache=None), "a", "a")
    assert len(server.received) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"seed": 1},
        {"completion": 512},
        {"body": {"chat_template_kwargs": {"enable_thinking": False}}},
        {"body": {"seed": None}},
    ],
    ids=str,
)
def test_another_request_is_another_answer(server, seat, options) -> None:
    for one in ({}, options, {}, options):
        ask(seat(**one), "x")
    assert len(server.received) == 2
    assert server.received[0].body != server.received[1].body


def test_another_model_or_endpoint_is_another_answer(seat) -> None:
    with toy.OpenAIServer() as other:
        other.reply = lambda body: "other"
        assert ask(seat(), "x") == ["x"]
        assert ask(seat(base_url=other.url), "x") == ["other"]
    with pytest.raises(UsageError, match="no model 'toy-2'"):
        ask(seat("toy-2"), "x")


def test_sampled_answers_are_drawn_by_seat_and_again_alike(server, seat) -> None:
    texts, seats = [dialog("x")] * 3, [info("ann"), info("ben"), info("ann", step=1)]
    for _ in range(2):
        seat(temperature=0.8, seed=5).act(texts, seats)
    seeds = [one.body["seed"] for one in server.received]
    assert len(seeds) == len(set(seeds)) == 3
    assert all(0 <= seed < 1 << 31 for seed in seeds)
    # Where the endpoint takes no seed, two seats still are two draws.
    agent = seat(temperature=0.8, seed=5, body={"seed": None})
    agent.act(texts, seats)
    assert agent.usage()["answers"] == 3


def test_a_long_dialog_loses_its_oldest_submissions(server, seat) -> None:
    long = dialog("last")
    long[2:2] = [{"role": "assistant", "content": "x" * 3000}, {"role": "user", "content": "no"}]
    agent = seat(context=1000, completion=100)
    agent.act([long], [info()])
    assert server.received[0].body["messages"] == dialog("last")
    long[1]["content"] = "x" * 3000
    with pytest.raises(UsageError, match="the prompt of assignment 'double' alone takes 1"):
        agent.act([long], [info()])


def test_a_dialog_with_a_lone_surrogate_can_be_sent(server, seat) -> None:
    assert ask(seat(), "print('\ud800')") == ["print('?')"]


def test_a_damaged_answer_is_asked_again_and_repaired(server, seat, tmp_path) -> None:
    ask(seat(), "x")
    connection = sqlite3.connect(tmp_path / "responses.sqlite")
    with connection:
        connection.execute("UPDATE answers SET answer = replace(answer, 'x', 'y')")
    connection.close()
    for _ in range(2):
        assert ask(seat(), "x") == ["x"]
    assert len(server.received) == 2


def test_a_cache_that_cannot_be_used_is_told_before_anything_is_paid(server, seat, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "text").write_text("not a database, whatever it may be called" * 100)
    for path in (tmp_path / "file" / "responses.sqlite", tmp_path / "text"):
        with pytest.raises(AgentError, match=r"cache .* cannot be used .*NOVICEGYM_API_CACHE"):
            seat(cache=path)
    newer = sqlite3.connect(tmp_path / "newer")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(AgentError, match="not of this version"):
        seat(cache=tmp_path / "newer")
    assert server.received == []


def test_an_answer_survives_the_cache_unchanged(tmp_path) -> None:
    answer = Answer("é\ud800\x00", "stop", False, 3, None, 0)
    key = cache_key({"a": "é"})
    with open_cache(tmp_path / "new" / "responses.sqlite") as cache:
        assert cache.get(key) is None
        cache.put(key, answer)
    with open_cache(tmp_path / "new" / "responses.sqlite") as cache:
        assert cache.get(key) == answer
        assert cache.get(cache_key({"a": "e"})) is None
    assert (tmp_path / "new" / "responses.sqlite").stat().st_mode & 0o077 == 0


def test_many_processes_make_and_fill_one_cache(tmp_path) -> None:
    fill = """
        import sys
        from pathlib import Path
        from novicegym.agents.response_cache import Answer, cache_key, open_cache
        for n in range(20):
            with open_cache(Path(sys.argv[1])) as cache:
                cache.put(cache_key([sys.argv[2], n]), Answer(str(n), "stop", False, 1, 1, 1))
    """
    path = tmp_path / "responses.sqlite"
    command = [sys.executable, "-c", textwrap.dedent(fill), str(path)]
    processes = [subprocess.Popen([*command, str(n)]) for n in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    with open_cache(path) as cache:
        answers = [cache.get(cache_key([str(p), n])) for p in range(4) for n in range(20)]
    assert [answer and answer.text for answer in answers] == [str(n) for n in range(20)] * 4


def test_requests_keep_to_the_limit_of_a_minute(server, seat) -> None:
    server.plan = [toy.error(500, "once", **SOON)]
    started = time.monotonic()
    ask(seat(requests_per_minute=600), *"abcde")  # and one again: a tenth of a second apart
    assert len(server.received) == 6
    assert server.received[-1].at - started >= 0.5


def test_tokens_keep_to_the_limit_of_a_minute_by_what_answers_really_take(server, seat) -> None:
    server.reply = lambda body: "word " * 1000  # estimated at less than 400, prompt and all
    agent = seat(tokens_per_minute=300_000, completion=250, context=600, concurrency=1)
    started = time.monotonic()
    ask(agent, *"abcd")
    used = agent.usage()["prompt_tokens"] + agent.usage()["completion_tokens"]
    before_the_last = used * 3 / 4
    assert server.received[-1].at - started >= 60 * before_the_last / 300_000


def test_tokens_and_cost_add_up(server, seat) -> None:
    server.reply = lambda body: "one two"
    agent = seat(input_price=2.0, output_price=10.0)
    ask(agent, "a", "b")
    words = sum(len(one["content"].split()) for one in dialog("a"))
    assert agent.usage() == {
        "requests": 2,
        "retries": 0,
        "answers": 2,
        "cache_hits": 0,
        "prompt_tokens": 2 * words,
        "cached_prompt_tokens": 2 * (words // 2),
        "completion_tokens": 4,
        "uncounted": 0,
        "cut": 0,
        "refused": 0,
        "cost": pytest.approx((2 * words * 2.0 + 4 * 10.0) / 1e6),
    }
    assert seat().usage()["cost"] is None


def test_tokens_that_are_not_told_leave_no_cost(server, seat) -> None:
    message = {"role": "assistant", "content": "x = 1"}
    server.plan = [toy.sends({"choices": [{"message": message}]})]
    agent = seat(input_price=1.0, output_price=1.0)
    assert ask(agent, "a") == ["x = 1"]
    assert (agent.usage()["uncounted"], agent.usage()["cost"]) == (1, None)


def test_settings_are_read_from_the_environment(server, monkeypatch, tmp_path) -> None:
    values = {
        "OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": toy.KEY,
        "NOVICEGYM_API_CACHE": str(tmp_path / "kept"),
        "NOVICEGYM_API_CONCURRENCY": "2",
        "NOVICEGYM_API_REQUESTS_PER_MINUTE": "5000",
        "NOVICEGYM_API_TOKENS_PER_MINUTE": "1e6",
        "NOVICEGYM_API_RETRIES": "",
        "NOVICEGYM_API_INPUT_PRICE": "0.5",
        "NOVICEGYM_API_OUTPUT_PRICE": "1.5",
        "NOVICEGYM_API_BODY": '{"top_k": -1}',
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert ApiSettings.from_environment() == ApiSettings(
        concurrency=2,
        requests_per_minute=5000,
        tokens_per_minute=1e6,
        input_price=0.5,
        output_price=1.5,
        body={"top_k": -1},
    )
    agent = OpenAIAgent.load(toy.MODEL, temperature=0.3, top_p=0.9)
    assert agent.name == toy.MODEL
    ask(agent, "x")
    body = server.received[0].body
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.3, 0.9, -1)
    assert (tmp_path / "kept" / "responses.sqlite").exists()
    monkeypatch.setenv("NOVICEGYM_API_CACHE", "off")
    assert default_cache() is None


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CONCURRENCY", "many", "NOVICEGYM_API_CONCURRENCY must be a whole number, got 'many'"),
        ("CONCURRENCY", "0", "concurrency must be at least 1, got 0"),
        ("RETRIES", "-1", "retries must be at least 0, got -1"),
        ("REQUESTS_PER_MINUTE", "0", "requests_per_minute must be above 0, got 0"),
        ("TIMEOUT", "nan", "timeout must be above 0, got nan"),
        ("INPUT_PRICE", "1", "both prices"),
        ("BODY", "[1]", "must be a JSON object"),
        ("BODY", "{", "must be a JSON object"),
    ],
)
def test_a_setting_that_cannot_be_is_one_clear_line(monkeypatch, variable, value, message):
    monkeypatch.setenv(f"NOVICEGYM_API_{variable}", value)
    with pytest.raises(UsageError, match=message):
        ApiSettings.from_environment()


def test_the_registry_makes_it_without_a_course_to_look_into(
    server, make_course, double, monkeypatch, tmp_path
) -> None:
    course = make_course(double, {})
    with pytest.raises(UsageError, match="needs the endpoint's key in OPENAI_API_KEY"):
        make_agent("openai:gpt", course)
    monkeypatch.setenv("OPENAI_API_KEY", toy.KEY)
    monkeypatch.setenv("NOVICEGYM_API_CACHE", str(tmp_path))
    monkeypatch.setenv("OPENAI_BASE_URL", "localhost:8000/v1")
    with pytest.raises(UsageError, match="must begin with http"):
        make_agent("openai:gpt", course)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    server.reply = lambda body: str(body["model"])
    agent = make_agent(f"openai:{toy.MODEL}", course, seed=3, fmt=DialogFormat(feedback="none"))
    assert ask(agent, "x") == [toy.MODEL]
    assert server.received[0].body["seed"] == 3
    with pytest.raises(UsageError, match="openai:MODEL"):
        make_agent("opnai", course)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageError, match=r"need openai: pip install 'novicegym\[api\]'"):
        make_agent("openai:gpt", course)


def test_it_works_where_an_event_loop_runs_already(seat) -> None:
    async def notebook() -> list[str]:
        return ask(seat(), "x")

    assert asyncio.run(notebook()) == ["x"]


def test_ctrl_c_ends_it_at_once_and_what_was_answered_is_kept(server, seat, tmp_path) -> None:
    program = """
        import sys
        from pathlib import Path
        from novicegym.agents.openai import OpenAIAgent
        agent = OpenAIAgent(sys.argv[1], api_key=sys.argv[2], base_url=sys.argv[3],
                            cache=Path(sys.argv[4]))
        user = {"role": "user", "content": "Write double(x)."}
        def one(text):
            return [user, {"role": "assistant", "content": "pass"},
                    {"role": "user", "content": text}]
        info = {"student_id": "me", "assignment_id": "double", "position": 3, "step": 0}
        agent.act([one(text) for text in "abcde"], [info] * 5)
    """
    server.plan = [*[toy.slowly(0)] * 3, toy.hang, toy.hang]
    arguments = [toy.MODEL, toy.KEY, server.url, str(tmp_path / "responses.sqlite")]
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while len(server.received) < 5 or server.answered < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)  # the last answer is on its way to the disk
    child.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, stderr = child.communicate(timeout=60)
    assert time.monotonic() - sent < 20  # the server would hang for longer
    assert child.returncode == -signal.SIGINT
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    connection = sqlite3.connect(tmp_path / "responses.sqlite")
    assert connection.execute("SELECT count(*) FROM answers").fetchone() == (3,)
    connection.close()


def test_a_run_that_an_outage_ended_goes_on_and_pays_once(
    server, seat, make_course, double, grader, tmp_path
) -> None:
    codes = [f"def double(x):\n    return x + {n}" for n in range(6)]
    course = make_course(double, {"ann": codes, "ben": codes[1:], "cem": codes[2:]})

    def said(body: dict[str, Any]) -> str:
        wrong = body["messages"][-2]["content"]
        return "<think>\nHm.\n</think>\n\n" + wrong.replace("return x", "return 1 + x")

    def play(agent: OpenAIAgent, out: Path) -> Any:
        return read_records(rollout(course, agent, out, grader=grader))

    server.reply = said
    unbroken = play(seat(cache=None), tmp_path / "unbroken")
    assert unbroken.num_rows == 3 + 2 + 1 + 2 + 1 + 1
    requests = len(server.received)
    server.received.clear()

    answers = 0

    def outage(exchange: Any) -> None:
        nonlocal answers
        answers += 1
        if answers <= 2:
            exchange.answer()
        else:
            toy.error(503, "Down for maintenance", **SOON)(exchange)

    server.default = outage
    with pytest.raises(AgentError, match=r"503.*Down for maintenance"):
        play(seat(retries=1, concurrency=1), tmp_path / "broken")
    server.default = None
    server.received.clear()
    resumed = seat()
    assert play(resumed, tmp_path / "broken") == unbroken
    # What the outage answered is not asked again; seats with equal dialogs share an answer.
    assert len(server.received) == requests - 2
    assert resumed.usage()["answers"] == requests - 2


def held(release: threading.Event, text: str) -> Any:
    """Answer this text when released, all others at once."""

    def act(exchange: Any) -> None:
        if exchange.body["messages"][-1]["content"] == text:
            release.wait(60)
        exchange.answer()

    return act


def asked(*tickets_and_texts: tuple[int, str]) -> list[Asked]:
    return [(ticket, dialog(text), info()) for ticket, text in tickets_and_texts]


def test_a_slow_answer_holds_nobody_up_who_comes_later(server, seat) -> None:
    release = threading.Event()
    server.default = held(release, "slow")
    coming = [asked((0, "slow")), asked((1, "quick"))]
    agent = seat()
    assert isinstance(agent, StreamingAgent)
    said = []
    for answers in agent.stream(lambda wait: coming.pop(0) if coming else []):
        said += answers
        release.set()
    assert said == [(1, "quick"), (0, "slow")]


def test_who_asks_what_is_asked_already_waits_for_that_answer(server, seat) -> None:
    release = threading.Event()
    server.default = held(release, "a")
    coming = [asked((0, "a"), (1, "a")), asked((2, "a"))]

    def take(wait: bool) -> list[Asked]:
        if coming:
            return coming.pop(0)
        release.set()
        return []

    agent = seat(cache=None)
    said = [one for answers in agent.stream(take) for one in answers]
    assert said == [(0, "a"), (1, "a"), (2, "a")]
    assert len(server.received) == 1
    assert agent.usage()["cache_hits"] == 2


def test_what_was_answered_before_a_failure_is_kept(server, seat) -> None:
    release = threading.Event()

    def fail_later(exchange: Any) -> None:
        if exchange.body["messages"][-1]["content"] == "bad":
            release.wait(60)
            toy.error(400, "no")(exchange)
        else:
            exchange.answer()

    server.default = fail_later
    coming = [asked((0, "bad"), (1, "good"))]
    said = []

    def read() -> None:
        for answers in seat().stream(lambda wait: coming.pop() if coming else []):
            said.extend(answers)
            release.set()

    with pytest.raises(UsageError, match="refuses the request"):
        read()
    assert said == [(1, "good")]
    assert ask(seat(), "good") == ["good"]
    assert len(server.received) == 2


def test_a_refused_request_costs_no_answer_that_is_on_its_way(server, seat) -> None:
    texts = [f"try {n}" for n in range(20)]
    all_there = threading.Barrier(16)

    def one_bad(exchange: Any) -> None:
        asked = exchange.body["messages"][-1]["content"]
        if asked == texts[5]:
            all_there.wait(30)
            toy.error(400, "no")(exchange)
        elif asked in texts[:16]:
            toy.slowly(0.5, after=all_there)(exchange)
        else:  # a slow machine may send some before it has read the refusal
            toy.slowly(0.5)(exchange)

    server.default = one_bad
    agent = seat(concurrency=16)
    with pytest.raises(UsageError, match="refuses the request"):
        ask(agent, *texts)
    sent = len(server.received)
    assert 16 <= sent <= 20
    assert (agent.usage()["answers"], agent.usage()["requests"]) == (sent - 1, sent)
    good = [text for text in texts[:16] if text != texts[5]]
    assert ask(seat(), *good) == good
    assert len(server.received) == sent
    server.default = None
    assert ask(agent, *texts) == texts


def test_nothing_is_sent_after_a_refused_request(server, seat) -> None:
    both_there = threading.Barrier(2)

    def refuse(exchange: Any) -> None:
        both_there.wait(30)
        toy.error(400, "no")(exchange)

    def fail_later(exchange: Any) -> None:
        both_there.wait(30)
        time.sleep(0.5)
        toy.error(503, "Overloaded", **SOON)(exchange)

    server.plan = [refuse, fail_later]
    started = time.monotonic()
    with pytest.raises(UsageError, match="refuses the request"):
        ask(seat(requests_per_minute=4 * 60), "a", "b", *map(str, range(100)))
    assert len(server.received) <= 3  # one may go while the refusal is read
    assert time.monotonic() - started < 15  # the pace alone would take 25


ADDRESSES = ["user:my-secret@host/v1", "my-secret@host/v1", "http://me:my-/secret@host/v1"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_none_is_told_without_it(seat, address) -> None:
    with pytest.raises(UsageError, match="OPENAI_BASE_URL") as raised:
        seat(base_url=address)
    assert "secret" not in str(raised.value)
    assert "my-" not in str(raised.value)


def test_no_error_tells_what_is_secret_in_an_address(server, seat) -> None:
    address = server.url.replace("http://", "http://me:my-password@") + "?api-key=my-secret"
    server.default = lambda exchange: toy.error(404, f"no POST {exchange.path}")(exchange)
    with pytest.raises(UsageError, match="no POST") as raised:
        ask(seat(base_url=address), "x")
    assert "my-secret" in server.received[0].path
    assert "my-secret" not in str(raised.value)
    assert "my-password" not in str(raised.value)


def test_a_key_is_not_told_and_a_placeholder_spoils_no_message(seat) -> None:
    for key, told in (("k", "provided: Bearer k"), ("sk-longer", r"provided: Bearer \*\*\*")):
        with pytest.raises(UsageError, match=rf"Incorrect API key {told}"):
            ask(seat(api_key=key), "x")


def test_its_settings_tell_a_run_from_another_and_hold_no_secret(server, seat) -> None:
    address = server.url.replace("http://", "http://me:my-password@") + "?api-key=my-secret#end"
    told = json.dumps(seat(base_url=address, context=2000, body={"top_k": 5}).settings)
    assert json.loads(told) == {
        "base_url": f"{server.url}/",
        "model": toy.MODEL,
        "context": 2000,
        "completion": 1024,
        "body": {"top_k": 5},
    }
