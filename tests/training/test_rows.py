"""Rows: what carries loss, how often, what is cut, and what stands before each submission."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="needs novicegym[train]")
pytest.importorskip("trl", reason="needs novicegym[train]")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, assistant_message
from novicegym.dialogs.tokens import DialogTokenizer
from novicegym.dialogs.tutoring import tutor_dialog
from novicegym.dialogs.windows import fit_window
from novicegym.errors import UsageError
from novicegym.grading.verdict import Verdict
from novicegym.training.logged import LoggedDialog
from novicegym.training.rows import NO_LOSS, Row, make_rows

WRONG = Verdict(Fraction(0), "logical")


def trl_template(name: str) -> str:
    """A chat template that TRL ships."""
    spec = find_spec("trl")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "chat_templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


def make_dialogs(template: str, end: str) -> DialogTokenizer:
    """A byte-level BPE of 400 tokens with a chat template."""
    words = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    llama = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*words, *llama],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(["```python\ndef f(x):\n    return x\n```"] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=llama[0], eos_token=end, pad_token=words[0]
    )
    tokenizer.chat_template = template
    return DialogTokenizer(tokenizer)


@pytest.fixture(scope="module")
def by_template() -> dict[str, DialogTokenizer]:
    """Ours; one that is replaced by TRL's training variant; one of another family."""
    chatml = files("novicegym.training").joinpath("chatml.jinja").read_text(encoding="utf-8")
    return {
        "chatml": make_dialogs(chatml, "<|im_end|>"),
        "qwen3": make_dialogs(trl_template("qwen3"), "<|im_end|>"),
        "llama3": make_dialogs(trl_template("llama3"), "<|eot_id|>"),
    }


@pytest.fixture(scope="module")
def chatml(by_template: dict[str, DialogTokenizer]) -> DialogTokenizer:
    return by_template["chatml"]


def logged(codes: list[str], answers: list[str], task: str = "Add.") -> LoggedDialog:
    """A trajectory in which the grader, and maybe a tutor, answered with these texts."""
    dialog: Dialog = [{"role": "system", "content": "Be a novice."}]
    dialog.append({"role": "user", "content": task})
    for code, answer in zip(codes, answers, strict=True):
        dialog.append(assistant_message(code, None, DialogFormat()))
        dialog.append({"role": "user", "content": answer})
    return LoggedDialog("ann", "add", tuple(codes), (WRONG,) * len(codes), dialog)


# Texts that look like another's words, beside any others.
SAID = st.one_of(
    st.sampled_from(
        ["assistant\n", "```python\nx\n```", "Tutor: look at line 2", "system", "", " "]
    ),
    st.text(max_size=30),
)


@st.composite
def trajectories(draw: st.DrawFn) -> LoggedDialog:
    turns = draw(st.lists(st.tuples(SAID, SAID, SAID), min_size=1, max_size=8))
    answers = [f"Grade: 0/100 {feedback}\n\nTutor: {hint}" for _, feedback, hint in turns]
    return logged([code for code, _, _ in turns], answers, task=f"Task: {draw(SAID)}")


def decode(dialogs: DialogTokenizer, ids: list[int]) -> str:
    text: str = dialogs.tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=False)
    return text


def supervised_texts(row: Row, dialogs: DialogTokenizer) -> list[str]:
    """The decoded runs of labels that carry loss."""
    runs: list[list[int]] = [[]]
    for label in row.labels:
        if label != NO_LOSS:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [decode(dialogs, run) for run in runs if run]


def rendered(row: Row, one: LoggedDialog, dialogs: DialogTokenizer) -> str:
    """What the row should say, by the chat template itself, up to the end of its last turn."""
    last = row.turns[-1]
    window = [*one.dialog[:2], *one.dialog[2 + 2 * row.start : 2 + 2 * last + 1]]
    text: str = dialogs.tokenizer.apply_chat_template(window, tokenize=False, enable_thinking=False)
    end = decode(dialogs, [dialogs.end_id])
    return text[: text.rindex(end) + len(end)]


def size(one: LoggedDialog, start: int, last: int, dialogs: DialogTokenizer) -> int:
    """Tokens of the preamble and the turns from `start` to the end of `last`."""
    window = [*one.dialog[:2], *one.dialog[2 + 2 * start : 2 + 2 * last]]
    return len(dialogs.prompt(window)) + len(dialogs.turn(one.dialog[2 + 2 * last]["content"]))


def contexts(one: LoggedDialog, dialogs: DialogTokenizer) -> st.SearchStrategy[int]:
    """From what the shortest submission needs to what the whole dialog does."""
    least = min(size(one, turn, turn, dialogs) for turn in range(len(one.codes)))
    return st.integers(least, dialogs.measure(one.dialog))


@pytest.mark.parametrize("name", ["chatml", "qwen3", "llama3"])
@given(one=trajectories(), data=st.data())
@settings(deadline=None)
def test_only_the_models_turns_carry_loss_each_once_and_whole(
    name: str, one: LoggedDialog, data: st.DataObject, by_template: dict[str, DialogTokenizer]
) -> None:
    dialogs = by_template[name]
    context = data.draw(contexts(one, dialogs), "context")
    overlap = data.draw(st.sampled_from([0, 1 / 3, 1 / 2, 1]), "overlap")
    made = make_rows([one], dialogs, context, overlap=overlap)

    end = decode(dialogs, [dialogs.end_id])
    for row in made.rows:
        said = [one.dialog[2 + 2 * turn]["content"] + end for turn in row.turns]
        assert supervised_texts(row, dialogs) == said
        assert len(row.input_ids) <= context
        both = zip(row.labels, row.input_ids, strict=True)
        assert all(label in (NO_LOSS, token) for label, token in both)
        assert decode(dialogs, row.input_ids) == rendered(row, one, dialogs)

    supervised = [turn for row in made.rows for turn in row.turns]
    left_out = [turn.turn for turn in made.too_long]
    assert sorted(supervised + left_out) == list(range(len(one.codes)))
    for turn in made.too_long:
        assert turn.tokens == size(one, turn.turn, turn.turn, dialogs) > context


@given(one=trajectories(), data=st.data())
@settings(deadline=None)
def test_what_stands_before_a_submission_is_as_much_as_is_claimed(
    one: LoggedDialog, data: st.DataObject, chatml: DialogTokenizer
) -> None:
    preamble = chatml.measure(one.dialog[:2])
    context = data.draw(contexts(one, chatml), "context")
    overlap = data.draw(st.sampled_from([0, 1 / 3, 1 / 2, 1]), "overlap")
    rows = make_rows([one], chatml, context, overlap=overlap).rows

    def between(start: int, end: int) -> int:
        """Tokens of the turns from `start` to before `end`, with their answers."""
        window = [*one.dialog[:2], *one.dialog[2 + 2 * start : 2 + 2 * end]]
        return chatml.measure(window) - preamble

    for row in rows:
        first, last = row.turns[0], row.turns[-1]
        all_shown = row.start == 0
        enough = between(row.start, first) >= overlap * (context - preamble)
        assert all_shown or enough or size(one, row.start - 1, first, chatml) > context
        if last + 1 < len(one.codes):
            assert size(one, row.start, last + 1, chatml) > context, "the row ends too early"
        if row.start < first:  # no more is shown than is claimed: it costs tokens
            assert between(row.start + 1, first) < overlap * (context - preamble)


@given(one=trajectories(), data=st.data())
@settings(deadline=None)
def test_full_overlap_gives_each_submission_its_longest_window(
    one: LoggedDialog, data: st.DataObject, chatml: DialogTokenizer
) -> None:
    context = data.draw(contexts(one, chatml), "context")
    rows = make_rows([one], chatml, context, overlap=1).rows
    for row in rows:
        for turn in row.turns:
            prompt, target = one.dialog[: 2 + 2 * turn], one.dialog[2 + 2 * turn]
            reserve = len(chatml.turn(target["content"]))
            window = fit_window(prompt, context, chatml, reserve=reserve, generation_prompt=True)
            assert window is not None
            assert window.start == 2 + 2 * row.start


FOUR = logged(["a = 1", "a = 22", "a = 333", "a = 4444"], ["no"] * 4)


def test_a_trajectory_that_fits_is_one_row_and_ends_with_its_last_submission(
    chatml: DialogTokenizer,
) -> None:
    needed = size(FOUR, 0, 3, chatml)
    made = make_rows([FOUR], chatml, needed)
    [row] = made.rows
    assert (row.start, row.turns) == (0, (0, 1, 2, 3))
    assert len(row.input_ids) == needed
    assert row.labels[-1] == row.input_ids[-1] == chatml.end_id
    assert (row.student_id, row.assignment_id) == ("ann", "add")
    turns = [chatml.turn(message["content"]) for message in FOUR.dialog[2::2]]
    assert made.summary() == {
        "rows": 1,
        "supervised_turns": 4,
        "forward_tokens": needed,
        "supervised_tokens": sum(map(len, turns)),
        "too_long": [],
    }

    two = make_rows([FOUR], chatml, needed - 1).rows
    assert [row.turns for row in two] == [(0, 1, 2), (3,)]


def test_the_overlap_is_masked(chatml: DialogTokenizer) -> None:
    context = size(FOUR, 1, 3, chatml)
    rows = make_rows([FOUR], chatml, context, overlap=0.5).rows
    assert [(row.start, row.turns) for row in rows] == [(0, (0, 1, 2)), (1, (3,))]
    text = decode(chatml, rows[1].input_ids)
    assert "a = 22" in text
    assert "a = 333" in text
    assert supervised_texts(rows[1], chatml) == ["```python\na = 4444\n```<|im_end|>"]
    bare = make_rows([FOUR], chatml, context, overlap=0).rows
    assert [(row.start, row.turns) for row in bare] == [(0, (0, 1, 2)), (3, (3,))]


def test_a_submission_that_does_not_fit_is_left_out_and_counted(chatml: DialogTokenizer) -> None:
    one = logged(["a = 1", "b" * 500, "a = 3"], ["no"] * 3)
    needed = size(one, 1, 1, chatml)
    made = make_rows([one], chatml, needed - 1)
    assert [(row.start, row.turns) for row in made.rows] == [(0, (0,)), (2, (2,))]
    left = {"student_id": "ann", "assignment_id": "add", "turn": 1, "tokens": needed}
    assert made.summary()["too_long"] == [left]
    assert make_rows([one], chatml, needed).too_long == []


def test_a_tutors_message_is_left_out_where_what_it_is_about_does_not_fit(
    chatml: DialogTokenizer, small_course: Course
) -> None:
    def tutored(code: str) -> LoggedDialog:
        turns = [("x = 0", WRONG), (code, WRONG)]
        said = ["", "Look at line 1."]
        dialog = tutor_dialog(small_course.assignment("add"), turns, said, DialogFormat(), 2)
        return LoggedDialog("ann", "add", ("x = 0", code), (WRONG,) * 2, dialog)

    made = make_rows([tutored("x = 1"), tutored("b" * 5000)], chatml, 2000)
    assert len(made.rows) == 1
    assert [(one.student_id, one.turn, one.tokens > 2000) for one in made.too_long] == [
        ("ann", 0, True)
    ]


def test_without_any_row_the_error_says_why(chatml: DialogTokenizer) -> None:
    with pytest.raises(UsageError, match="there is no trajectory"):
        make_rows([], chatml, 1000)
    one = logged(["b" * 500], ["no"])
    with pytest.raises(UsageError, match="none of the 1 submissions fits a context of 300 tokens"):
        make_rows([one], chatml, 300)


def test_a_preamble_that_does_not_fit_names_the_assignment(chatml: DialogTokenizer) -> None:
    with pytest.raises(UsageError, match="assignment 'add' alone takes"):
        make_rows([FOUR], chatml, 10)


@pytest.mark.parametrize("overlap", [-0.1, 1.1])
def test_an_overlap_outside_its_range_is_an_error(overlap: float, chatml: DialogTokenizer) -> None:
    with pytest.raises(UsageError, match="overlap must be between 0 and 1"):
        make_rows([FOUR], chatml, 1000, overlap=overlap)


def test_labels_pass_through_the_trainers_collator_unchanged(chatml: DialogTokenizer) -> None:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    rows = make_rows([FOUR, logged(["a"], ["no"])], chatml, 1000).rows
    columns = [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]
    batch: Any = DataCollatorForLanguageModeling(pad_token_id=0)(columns)
    for row, labels in zip(rows, batch["labels"].tolist(), strict=True):
        assert labels == row.labels + [NO_LOSS] * (len(labels) - len(row.labels))
