"""Windows: the golden cases, and equality with rendering whole windows by real templates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, Message, assignment_text
from novicegym.dialogs.tutoring import tutor_dialog
from novicegym.dialogs.windows import (
    MessageCounter,
    TemplateCounter,
    Window,
    fit_prompt,
    fit_window,
    preamble_length,
    prefix_windows,
)
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader

# Special tokens are never merged with text; within text, line breaks and spaces merge as in BPE.
TOKEN = re.compile(r"<\|\w+\|>|</?think>| ?[A-Za-z]+|\d|\s+|[^\sA-Za-z\d]+?")


def toy_tokens(text: str) -> list[int]:
    """Return as many ids as `text` has tokens."""
    return [len(token) for token in TOKEN.findall(text)]


def chatml(dialog: Dialog, ask: bool) -> str:
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in dialog)
    if dialog[0]["role"] != "system":  # Qwen 2.5 puts one of its own
        text = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" + text
    return text + "<|im_start|>assistant\n" * ask


def llama3(dialog: Dialog, ask: bool) -> str:
    text = "<|begin_of_text|>"
    system = ""
    if dialog[0]["role"] == "system":
        system, dialog = dialog[0]["content"].strip(), dialog[1:]
    dated = f"Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n{system}"
    messages: Dialog = [{"role": "system", "content": dated}, *dialog]
    for m in messages:
        text += f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n"
        text += f"{m['content'].strip()}<|eot_id|>"
    return text + "<|start_header_id|>assistant<|end_header_id|>\n\n" * ask


def qwen3(dialog: Dialog, ask: bool, thinking: bool = True) -> str:
    text = ""
    last_query = max(i for i, m in enumerate(dialog) if m["role"] == "user")
    for i, m in enumerate(dialog):
        content, reasoning = m["content"], ""
        if m["role"] == "assistant":
            if "</think>" in content:
                head = content.split("</think>")[0].rstrip("\n")
                reasoning = head.split("<think>")[-1].lstrip("\n")
                content = content.split("</think>")[-1].lstrip("\n")
            if i > last_query and (i == len(dialog) - 1 or reasoning):
                reasoning = reasoning.strip("\n")
                content = f"<think>\n{reasoning}\n</think>\n\n" + content.lstrip("\n")
        text += f"<|im_start|>{m['role']}\n{content}<|im_end|>\n"
    if ask:
        text += "<|im_start|>assistant\n" + ("" if thinking else "<think>\n\n</think>\n\n")
    return text


def qwen3_without_thinking(dialog: Dialog, ask: bool) -> str:
    return qwen3(dialog, ask, thinking=False)


def gemma(dialog: Dialog, ask: bool) -> str:
    """The system message opens the first user message; roles must alternate."""
    prefix = ""
    if dialog[0]["role"] == "system":
        prefix, dialog = dialog[0]["content"] + "\n\n", dialog[1:]
    text = "<|bos|>"
    for i, m in enumerate(dialog):
        assert m["role"] == ("assistant" if i % 2 else "user"), "roles must alternate"
        role = "model" if m["role"] == "assistant" else m["role"]
        text += f"<|start_of_turn|>{role}\n{prefix * (i == 0)}{m['content'].strip()}"
        text += "<|end_of_turn|>\n"
    return text + "<|start_of_turn|>model\n" * ask


def plain(dialog: Dialog, ask: bool) -> str:
    """No special tokens: line breaks of neighbouring messages merge into one token."""
    return "".join(f"\n\n{m['role']}: {m['content']}" for m in dialog) + "\n\nassistant:" * ask


def numbered(dialog: Dialog, ask: bool) -> str:
    """Counts messages, so that one message's size depends on how many there are."""
    total = "<|of|>" * len(dialog)
    return "".join(f"<|turn|>{total}{m['content']}<|end|>" for m in dialog) + "<|turn|>" * ask


Template = Callable[[Dialog, bool], str]
ADDITIVE: list[Template] = [chatml, llama3, qwen3, qwen3_without_thinking, gemma]


class Rendered:
    """A template with the toy tokenizer, which remembers how much it tokenized."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.tokenized = 0

    def __call__(self, dialog: Dialog, ask: bool) -> list[int]:
        tokens = toy_tokens(self.template(dialog, ask))
        self.tokenized += len(tokens)
        return tokens


COUNTERS = {template: TemplateCounter(Rendered(template)) for template in [*ADDITIVE, plain]}

CONTENT = st.lists(
    st.sampled_from(["word", " ", "\n", "\n\n", "7", "```", "x = 1", ".", "é", "</think>"]),
    max_size=12,
).map("".join)


@st.composite
def dialogs(draw: st.DrawFn) -> Dialog:
    """Dialogs as `serialize` writes them; the last submission may be unanswered."""
    roles = ["system", "user", *(["assistant", "user"] * draw(st.integers(0, 6)))]
    if len(roles) > 2 and draw(st.booleans()):
        roles.pop()
    return [{"role": role, "content": draw(CONTENT)} for role in roles]


def by_rendering(
    dialog: Dialog, budget: int, template: Template, ask: bool = False
) -> tuple[list[int], int] | None:
    """The rule to the letter, every window rendered: indices kept, and their tokens."""
    first = preamble_length(dialog)
    assistants = [i for i in range(first, len(dialog)) if dialog[i]["role"] == "assistant"]
    candidates = [list(range(len(dialog)))]
    candidates += [[*range(first), *range(i, len(dialog))] for i in assistants]
    candidates.append(list(range(first)))
    for kept in candidates:
        size = len(toy_tokens(template([dialog[i] for i in kept], ask)))
        if size <= budget:
            return kept, size
    return None


def kept_indices(window: Window, dialog: Dialog) -> list[int]:
    """The window's messages as indices of the dialog."""
    return [*range(preamble_length(dialog)), *range(window.start, len(dialog))]


@pytest.mark.parametrize("template", ADDITIVE)
@given(dialog=dialogs(), data=st.data(), ask=st.booleans())
def test_a_window_equals_the_one_found_by_rendering(
    template: Template, dialog: Dialog, data: st.DataObject, ask: bool
) -> None:
    counter = COUNTERS[template]
    assert counter.additive
    ask = ask and dialog[-1]["role"] == "user"
    whole = len(toy_tokens(template(dialog, ask)))
    budget = data.draw(st.integers(1, whole + 3))
    window = fit_window(dialog, budget, counter, generation_prompt=ask)
    expected = by_rendering(dialog, budget, template, ask)
    if window is None or expected is None:
        assert window is None
        assert expected is None
        return
    assert (kept_indices(window, dialog), window.tokens) == expected
    assert window.dialog == [dialog[i] for i in expected[0]]
    assert window.dropped == len(dialog) - len(window.dialog)


@pytest.mark.parametrize("template", ADDITIVE)
@given(dialog=dialogs())
def test_message_counts_add_up_to_the_rendering(template: Template, dialog: Dialog) -> None:
    assert COUNTERS[template].verify(dialog)
    assert sum(COUNTERS[template].count(dialog)) == len(toy_tokens(template(dialog, False)))


@pytest.mark.parametrize("template", [plain, numbered])
@given(dialog=dialogs(), data=st.data())
@settings(max_examples=50)
def test_a_template_that_is_not_additive_is_noticed_and_rendered_whole(
    template: Template, dialog: Dialog, data: st.DataObject
) -> None:
    counter = TemplateCounter(Rendered(template))
    assert not counter.additive
    budget = data.draw(st.integers(1, len(toy_tokens(template(dialog, False))) + 3))
    window = fit_window(dialog, budget, counter)
    found = None if window is None else (kept_indices(window, dialog), window.tokens)
    assert found == by_rendering(dialog, budget, template)


def long_dialog(turns: int) -> Dialog:
    """A dialog of `turns` submissions of about 250 tokens with their feedback."""
    dialog: Dialog = [{"role": "system", "content": "s"}, {"role": "user", "content": "word " * 50}]
    for n in range(turns):
        dialog.append({"role": "assistant", "content": "word " * (100 + n)})
        dialog.append({"role": "user", "content": "word " * 150})
    return dialog


def test_each_message_is_tokenized_once() -> None:
    for turns in (5, 50, 500):
        dialog = long_dialog(turns)
        render = Rendered(chatml)
        counter = TemplateCounter(render)
        render.tokenized = 0
        prefix_windows(dialog, 4096, counter)
        for_frames = 40 * len(dialog)
        assert render.tokenized <= len(toy_tokens(chatml(dialog, False))) + for_frames
        render.tokenized = 0
        fit_window(dialog, 4096, counter)
        assert render.tokenized <= len(toy_tokens(chatml(dialog, False))) + for_frames


def test_a_plain_function_counts_each_message_once() -> None:
    seen: list[str] = []
    dialog = long_dialog(20)
    counter = MessageCounter(lambda message: seen.append(message["content"]) or 10)  # type: ignore[func-returns-value]
    prefix_windows(dialog, 100, counter)
    assert seen == [message["content"] for message in dialog]


@given(dialog=dialogs(), data=st.data(), ask=st.booleans())
@pytest.mark.parametrize("template", [chatml, qwen3, plain])
def test_windows_of_all_prefixes_are_those_of_each(
    template: Template, dialog: Dialog, data: st.DataObject, ask: bool
) -> None:
    counter = COUNTERS[template]
    budget = data.draw(st.integers(1, len(toy_tokens(template(dialog, True))) + 3))
    reserve = data.draw(st.integers(0, 5))
    ends = [i for i, message in enumerate(dialog) if message["role"] == "assistant"]
    each = [
        fit_window(dialog[:end], budget, counter, reserve=reserve, generation_prompt=ask)
        for end in ends
    ]
    together = prefix_windows(dialog, budget, counter, reserve=reserve, generation_prompt=ask)
    assert (together or []) == [window for window in each if window is not None]
    assert together is not None or None in each or not each


def golden_tokens(message: Message) -> int:
    """The golden file's toy tokenizer, after the published cleaning."""
    cleaned = re.sub(
        r"<actual_submission>.*?</actual_submission>\s*", "", message["content"], flags=re.DOTALL
    )
    return 3 + len(cleaned.split())


def test_windows_are_the_golden_ones(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "windows.json").read_text("utf-8"))
    counter = MessageCounter(golden_tokens, generation_prompt=2)
    cases = 0
    for entry in golden["dialogs"]:
        dialog: Dialog = entry["messages"]
        assert counter.measure(dialog) == entry["total_tokens"]
        for case in entry["cases"]:
            cases += 1
            window = fit_window(dialog, case["max_length"], counter)
            if case["result"] is None:
                assert window is None
                continue
            assert window is not None
            everything_cut = window.start == len(dialog)
            assert {
                # The published code returns 0 both for nothing and for everything cut.
                "start_idx": 0 if window.dropped == 0 or everything_cut else window.start,
                "kept_message_indices": kept_indices(window, dialog),
                "tokens": window.tokens,
            } == case["result"]
    assert cases > 150


FLAT = MessageCounter(lambda message: 10, generation_prompt=2)
FIVE = long_dialog(2)[:-1]  # preamble, submission, feedback, submission


def test_nothing_cut_and_everything_cut_differ() -> None:
    whole, nothing_left = fit_window(FIVE, 50, FLAT), fit_window(FIVE, 20, FLAT)
    assert whole is not None
    assert nothing_left is not None
    assert (whole.start, whole.dropped, whole.tokens) == (2, 0, 50)
    assert (nothing_left.start, nothing_left.dropped, nothing_left.tokens) == (5, 3, 20)


def test_feedback_goes_with_its_submission() -> None:
    window = fit_window(FIVE, 49, FLAT)
    assert window is not None
    assert (window.start, [m["role"] for m in window.dialog]) == (
        4,
        ["system", "user", "assistant"],
    )


def test_of_a_tutors_dialog_the_submissions_before_it_came_go_first(
    small_course: Course, grader: Grader
) -> None:
    assignment = small_course.assignments["add"]
    codes = [one.code for one in small_course.trajectories[0].submissions[:4]]
    turns = [(code, grader.grade(assignment, code)) for code in codes]
    dialog = tutor_dialog(assignment, turns, ["", "", "Look at line 2.", ""], DialogFormat(), 3)
    counter = MessageCounter(lambda message: len(message["content"]))
    whole = counter.measure(dialog)
    numbers = []
    for budget in range(whole, 0, -10):
        window = fit_window(dialog, budget, counter)
        if window is None:
            break
        assert window.tokens == counter.measure(window.dialog) <= budget
        assert window.dialog[1]["content"].startswith(assignment_text(assignment))
        shown = "".join(message["content"] for message in window.dialog)
        numbers.append("".join(re.findall(r"Submission (\d):", shown)))
    assert list(dict.fromkeys(numbers)) == ["1234", "234", "34", "4"]
    assert fit_window(dialog, whole, counter) == Window(dialog, 2, 0, whole)


def test_a_tutor_is_not_asked_without_the_submission_it_is_asked_about(
    small_course: Course, grader: Grader
) -> None:
    assignment = small_course.assignments["add"]
    turns = [(code, grader.grade(assignment, code)) for code in ("x = 1", "x = 2", "x = 3")]
    counter = MessageCounter(lambda message: len(message["content"]))
    for dialog in (
        tutor_dialog(assignment, turns, [], DialogFormat(), 3),
        tutor_dialog(assignment, turns, [], DialogFormat(), 2),
    ):
        fits = [fit_window(dialog, n, counter) for n in range(1, counter.measure(dialog) + 1)]
        shown = [one.dialog[-1]["content"] for one in fits if one is not None]
        assert shown
        assert all("x = 3" in text for text in shown)
        with pytest.raises(UsageError, match="'add' with the last submission takes"):
            fit_prompt(dialog, fits.index(next(one for one in fits if one)), counter, "add")


def test_reserve_and_generation_prompt_count_against_the_budget() -> None:
    prompt = FIVE[:4]
    assert fit_window(prompt, 62, FLAT, reserve=20, generation_prompt=True) == Window(
        prompt, 2, 0, 42
    )
    shorter = fit_window(prompt, 61, FLAT, reserve=20, generation_prompt=True)
    assert shorter is not None
    assert (shorter.start, shorter.tokens) == (4, 22)


def test_a_window_shares_no_message_with_its_dialog() -> None:
    window = fit_window(FIVE, 100, FLAT)
    assert window is not None
    window.dialog[0]["content"] = "changed"
    assert FIVE[0]["content"] == "s"


def test_a_prompt_that_cannot_fit_names_the_assignment_and_the_sizes() -> None:
    assert fit_window(FIVE, 19, FLAT) is None
    with pytest.raises(UsageError, match=r"'mean' alone takes 22 tokens beside 8 .* context of 29"):
        fit_prompt(FIVE[:4], 29, FLAT, "mean", reserve=8)
    assert fit_prompt(FIVE[:4], 30, FLAT, "mean", reserve=8).tokens == 22


@pytest.mark.parametrize(("budget", "reserve"), [(0, 0), (-5, 0), (10, -1)])
def test_impossible_budgets_are_errors(budget: int, reserve: int) -> None:
    with pytest.raises(UsageError, match=f"got {budget} and {reserve}"):
        fit_window(FIVE, budget, FLAT, reserve=reserve)


def test_a_dialog_without_an_assignment_is_an_error() -> None:
    for dialog in ([], FIVE[:1], [FIVE[0], FIVE[0], FIVE[1]]):
        with pytest.raises(UsageError, match="starts with"):
            fit_window(dialog, 100, FLAT)
