"""Language models as tutors, against a real server and a real model of small size."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from novicegym.agents.tutors.language_model import (
    NOTHING,
    LanguageModelTutor,
    read_message,
)
from novicegym.agents.tutors.registry import make_tutor
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.dialogs.tutoring import tutor_dialog

WRONG = "def double(x):\n    return x"
SLIP = "def double(x)\n    return x"
ALSO_WRONG = "def double(x):\n    return x + 1"

# Files of tests are not importable by name.
toy = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "openai_server.py")))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("Look at line 2.", "Look at line 2."),
        ("  Look at\r\nline 2.\n\n", "Look at\nline 2."),
        ("<think>\nHe forgot `return 2 * x`.\n</think>\n\nLook at line 2.", "Look at line 2."),
        ("He forgot `return`.\n</think>\n\nLook at line 2.", "Look at line 2."),
        ("<think>\nI am not done thinking about", ""),
        ("<think>\n\n</think>\n\n", ""),
        ("", ""),
        (" \n", ""),
        (NOTHING, ""),
        ("Nothing.", ""),
        ("**No hint needed.**", ""),
        ("(No hint is needed)", ""),
        ("Nothing is printed. Why?", "Nothing is printed. Why?"),
        ("What does `None` mean?", "What does `None` mean?"),
        ("\x1b[31mRed\x07\x00 \ud800hint", "[31mRed hint"),
        ("```\nlook\n```", "```\nlook\n```"),
    ],
)
def test_what_a_model_says_is_cleaned(answer, message) -> None:
    assert read_message(answer) == message


class Recorder:
    """Stands in the place of a user's own model: answers as told and keeps what it was asked."""

    name = "recorder"

    def __init__(self, takes_empty_turns: bool) -> None:
        self.takes_empty_turns = takes_empty_turns
        self.asked: list[Dialog] = []

    def act(self, dialogs, infos) -> list[str]:
        self.asked += dialogs
        return [f" hint {number} " for number, _ in enumerate(dialogs)]


@pytest.fixture
def talk(double, grader) -> Dialog:
    """A tutor's dialog in which it said nothing, then something, then nothing."""
    codes = [SLIP, WRONG, ALSO_WRONG, WRONG]
    turns = [(code, grader.grade(double, code)) for code in codes]
    return tutor_dialog(double, turns, ["", "Line 2?", "", ""], DialogFormat(), 0)


def assistants(dialog: Dialog) -> list[str]:
    return [message["content"] for message in dialog if message["role"] == "assistant"]


def test_silence_is_written_as_the_model_can_read_it(talk, state, double) -> None:
    assert assistants(talk) == ["", "Line 2?", ""]
    for takes, silence in ((True, ""), (False, NOTHING)):
        model = Recorder(takes)
        said = LanguageModelTutor(model).act([talk], [state(double, WRONG)])
        assert said == ["hint 0"]
        assert assistants(model.asked[0]) == [silence, "Line 2?", silence]
        assert [m["role"] for m in model.asked[0]] == [m["role"] for m in talk]
    assert assistants(talk) == ["", "Line 2?", ""]


def test_only_where_there_is_something_to_help_with_is_the_model_asked(talk, state, double) -> None:
    model = Recorder(True)
    right = state(double, "def double(x):\n    return 2 * x")
    wrong = state(double, WRONG)
    start = wrong | {"code": "", "outcome": ""}
    said = LanguageModelTutor(model).act([talk] * 4, [right, wrong, start, wrong])
    assert said == ["", "hint 0", "", "hint 1"]
    assert LanguageModelTutor(model).act([], []) == []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("openai", reason="needs the extra: pip install 'novicegym[api]'")
    with toy.OpenAIServer() as one:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("OPENAI_BASE_URL", one.url)
        monkeypatch.setenv("OPENAI_API_KEY", toy.KEY)
        yield one


def test_an_endpoint_is_never_sent_an_empty_message(
    server, talk, state, make_course, double
) -> None:
    server.reply = lambda body: "<think>\nHm.\n</think>\n\nWhat is 2 + 2?\n"
    tutor = make_tutor(f"openai:{toy.MODEL}", make_course(double, {}))
    assert tutor.name == toy.MODEL
    assert tutor.act([talk], [state(double, WRONG)]) == ["What is 2 + 2?"]
    [received] = server.received
    sent = received.body["messages"]
    assert assistants(sent) == [NOTHING, "Line 2?", NOTHING]
    assert all(message["content"].strip() for message in sent)
    server.reply = lambda body: NOTHING
    assert tutor.act([talk[:2]], [state(double, WRONG)]) == [""]


@pytest.fixture(scope="session")
def tiny_model(small_course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned nothing."""
    pytest.importorskip("transformers", reason="needs the extra: pip install 'novicegym[train]'")
    from novicegym.training.tiny import ModelSize, course_texts, write_model

    folder: Path = tmp_path_factory.mktemp("model") / "tiny"
    size = ModelSize(hidden=32, layers=1, heads=2, key_value_heads=1, head_dim=16, intermediate=32)
    write_model(course_texts(small_course), folder, size, vocabulary=400, seed=0)
    return folder


def test_a_model_of_ours_reads_silence_as_it_was_trained(
    tiny_model, talk, state, make_course, double
) -> None:
    from novicegym.agents.language_model import LanguageModelAgent

    agent = LanguageModelAgent.load(str(tiny_model), context=2000, completion=20)
    assert agent.takes_empty_turns
    tutor = LanguageModelTutor(agent)
    here = state(double, WRONG)
    said = tutor.act([talk, talk[:2]], [here, here])
    assert len(said) == 2
    assert all(message == message.strip() for message in said)
    assert said == tutor.act([talk, talk[:2]], [here, here])
    made = make_tutor(f"hf:{tiny_model}", make_course(double, {}), temperature=1.0, seed=3)
    assert made.name == tiny_model.name


def test_a_template_that_refuses_empty_messages_is_noticed(tiny_model) -> None:
    from transformers import AutoTokenizer

    from novicegym.dialogs.tokens import DialogTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert DialogTokenizer(tokenizer).takes_empty_turns
    # As Mistral's do.
    refusal = (
        "{%- for message in messages %}{%- if message.role == 'assistant' and not message.content "
        "%}{{ raise_exception('Assistant message must have a content') }}{%- endif %}"
        "{%- endfor %}"
    )
    tokenizer.chat_template = refusal + tokenizer.chat_template
    dialogs = DialogTokenizer(tokenizer)
    assert not dialogs.takes_empty_turns
    assert dialogs.turn(NOTHING)
