from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.chat_template_utils import get_training_chat_template

from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.suite import TestScript, TestSuite
from novicegym.dialogs.serialize import Dialog, DialogFormat, feedback_message
from novicegym.dialogs.tokens import DialogTokenizer
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.training.tiny import course_texts, init_model

DIALOG: Dialog = [
    {"role": "system", "content": "You are a student."},
    {"role": "user", "content": "Add two numbers."},
    {"role": "assistant", "content": "```python\nreturn a - b\n```"},
    {"role": "user", "content": "Grade: 0/100"},
    {"role": "assistant", "content": "```python\nreturn a + b\n```"},
]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, small_course: Course) -> Path:
    folder = tmp_path_factory.mktemp("made") / "model"
    init_model(small_course, folder, size="1M", vocabulary=500)
    return folder


@pytest.mark.parametrize(
    ("size", "parameters"), [("1M", 1.25e6), ("5M", 5e6), ("20M", 20e6), ("85M", 85e6)]
)
def test_sizes_are_about_what_they_say(
    size: str, parameters: float, small_course: Course, tmp_path: Path
) -> None:
    said = init_model(small_course, tmp_path, size=size, vocabulary=400)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    hidden = model.config.hidden_size
    assert said.parameters == model.num_parameters()
    assert (
        said.vocabulary == model.config.vocab_size == len(AutoTokenizer.from_pretrained(tmp_path))
    )
    # Sizes are meant for a vocabulary of 2,048; embeddings are shared with the output.
    assert said.parameters + (2048 - 400) * hidden == pytest.approx(parameters, rel=0.06)
    assert model.config.max_position_embeddings >= 4096


def test_same_seed_gives_the_same_bytes_in_any_process(
    made: Path, small_course: Course, tmp_path: Path
) -> None:
    init_model(small_course, tmp_path / "here", size="1M", vocabulary=500)
    code = (
        "import pickle, sys; from novicegym.training.tiny import init_model; "
        "init_model(pickle.load(sys.stdin.buffer), sys.argv[1], size='1M', vocabulary=500)"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "there"],
        input=pickle.dumps(small_course),
        env={**os.environ, "PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert contents(tmp_path / "here") == contents(made)
    assert contents(tmp_path / "there") == contents(made)


def test_another_seed_gives_other_weights_and_the_same_tokenizer(
    made: Path, small_course: Course, tmp_path: Path
) -> None:
    init_model(small_course, tmp_path, size="1M", vocabulary=500, seed=1)
    changed = {name for name, data in contents(tmp_path).items() if data != contents(made)[name]}
    assert changed == {"model.safetensors", "init.json"}


def test_making_a_model_leaves_the_callers_random_state(
    small_course: Course, tmp_path: Path
) -> None:
    before = torch.get_rng_state()
    init_model(small_course, tmp_path, size="1M", vocabulary=400)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "text",
    ["e\u0301 \u212b", "\tif x:\r\n  y\n\n", "naïve 日本 🐍", "x1234 + 0.5", "\x00\x7f \u2028"],
)
def test_every_text_comes_back_to_the_character(made: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(made)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_assistant_turns_and_only_they_are_marked(made: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(made)
    rendered = tokenizer.apply_chat_template(
        DIALOG, return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [
        token
        for token, mark in zip(rendered["input_ids"], rendered["assistant_masks"], strict=True)
        if mark
    ]
    answers = [message["content"] for message in DIALOG if message["role"] == "assistant"]
    assert tokenizer.decode(marked) == "".join(answer + "<|im_end|>" for answer in answers)


def test_template_is_chatml_that_trainers_take_as_it_is(made: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(made)
    rendered = tokenizer.apply_chat_template(DIALOG[:2], tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>system\nYou are a student.<|im_end|>\n"
        "<|im_start|>user\nAdd two numbers.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    template = tokenizer.chat_template
    assert DialogTokenizer(tokenizer).tokenizer.chat_template == template
    assert get_training_chat_template(tokenizer) is None


def test_generation_stops_at_the_end_of_a_turn(made: Path) -> None:
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(made),
        AutoTokenizer.from_pretrained(made),
    )
    assert tokenizer.convert_ids_to_tokens(model.generation_config.eos_token_id) == "<|im_end|>"
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert tokenizer.pad_token == "<|endoftext|>"


def test_the_tokenizer_knows_what_the_grader_says(small_course: Course, grader: Grader) -> None:
    texts = list(course_texts(small_course))
    verdict = grader.grade(small_course.assignment("add"), "def add(a, b):\n    return a - b\n")
    first_test = feedback_message(verdict, DialogFormat())["content"].split("got:")[0]
    assert "called: add(1, 2)\n  expected: 3" in first_test
    failing = first_test[first_test.index("Your program") :]
    assert any(failing in text for text in texts)


def test_a_large_course_is_sampled_from_end_to_end() -> None:
    script = Assignment("s", "S", "Do it.", TestSuite(script=TestScript("print(1)")))
    trajectories = tuple(
        Trajectory(f"student{n}", "s", None, (Submission(f"x = {n}"),) * 50) for n in range(5000)
    )
    course = Course("large", {"s": script}, trajectories)
    texts = [text for text in course_texts(course) if "x = " in text]
    assert len(texts) < 25_000
    seen = [int(text.split("x = ")[1].split()[0]) for text in texts]
    assert min(seen) < 10
    assert max(seen) > 4990


def test_its_own_directory_is_replaced(small_course: Course, tmp_path: Path) -> None:
    init_model(small_course, tmp_path / "m", size="1M", vocabulary=400)
    (tmp_path / "m" / "notes.txt").write_text("mine")
    init_model(small_course, tmp_path / "m", size="1M", vocabulary=420, seed=3)
    assert json.loads((tmp_path / "m" / "init.json").read_text()) == {
        "course": "small",
        "size": "1M",
        "seed": 3,
        "parameters": AutoModelForCausalLM.from_pretrained(tmp_path / "m").num_parameters(),
        "vocabulary": 420,
    }
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_directory_of_other_things_is_left_alone(small_course: Course, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"neither empty nor made by .* \(it has no init.json\)"):
        init_model(small_course, tmp_path, size="1M")
    with pytest.raises(UsageError, match="is a file"):
        init_model(small_course, tmp_path / "config.json", size="1M")
    assert contents(tmp_path) == {"config.json": b"{}"}


def test_what_cannot_be_made_is_told(
    small_course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="unknown model size '2M'"):
        init_model(small_course, tmp_path, size="2M")
    with pytest.raises(UsageError, match=r"at least 259 .* got 258"):
        init_model(small_course, tmp_path, size="1M", vocabulary=258)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"needs transformers: pip install 'novicegym\[train\]'"):
        init_model(small_course, tmp_path, size="1M")
    assert not any(tmp_path.iterdir())


def test_a_small_course_gives_fewer_tokens_than_asked_for(
    small_course: Course, tmp_path: Path
) -> None:
    alone = dataclasses.replace(small_course, trajectories=())
    said = init_model(alone, tmp_path, size="1M", vocabulary=50_000)
    assert said.vocabulary < 5000
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config.vocab_size == said.vocabulary
