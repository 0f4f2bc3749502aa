"""A trajectory as a chat, and back: the one serialization of training, RL and evaluation.

The system message sets the scene, the first user message is the assignment; then each submission
is an assistant message and the autograder's answer a user message (paper, section 3.2). Roles
strictly alternate. An assistant message begins and ends with its fence, so templates that strip
messages change nothing.

Covered: whole programs ("code"), and diffs for small edits ("dual", by the rule of
`diffs.small_diff`). `parse_dialog` gives back every program and feedback to the character.
Not covered: tokens (see `windows`); programs that contain a tokenizer's special tokens, or
`</think>`, which the templates of thinking models cut out of assistant messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, TypeAlias, TypedDict, get_args

from novicegym.courses.model import Assignment
from novicegym.dialogs.diffs import small_diff
from novicegym.dialogs.extract import extract_code
from novicegym.dialogs.fences import fence
from novicegym.dialogs.tutor_messages import split_message, with_message
from novicegym.errors import UsageError, unknown_name
from novicegym.grading.feedback import FEEDBACK_LEVELS, FeedbackLevel, render_feedback
from novicegym.grading.verdict import Verdict


class Message(TypedDict):
    """One message of a chat, as tokenizers and APIs take it."""

    role: str
    """system, user or assistant"""
    content: str


Dialog: TypeAlias = list[Message]

CodeFormat: TypeAlias = Literal["code", "dual"]

CODE_FORMATS: tuple[CodeFormat, ...] = get_args(CodeFormat)


class Turn(NamedTuple):
    """One submission as a dialog shows it."""

    code: str
    feedback: str | None
    """None for a last submission that was not answered."""
    message: str = ""
    """What a tutor added to the feedback; "" for nothing."""


@dataclass(frozen=True, slots=True)
class DialogFormat:
    """How trajectories are written."""

    code: CodeFormat = "code"
    feedback: FeedbackLevel = "full"
    """What the user turns say; "none" is the paper's PARA, in training and in evaluation."""
    system_prompt: str | None = None
    """None for the text in `prompts`, which fits `code` and `feedback`."""

    def __post_init__(self) -> None:
        """Raise UsageError for a code format or feedback level that does not exist."""
        if self.code not in CODE_FORMATS:
            raise unknown_name("code format", self.code, CODE_FORMATS)
        if self.feedback not in FEEDBACK_LEVELS:
            raise unknown_name("feedback level", self.feedback, FEEDBACK_LEVELS)


@cache
def prompt_text(name: str) -> str:
    """Return the text of `prompts/NAME.txt`."""
    path = files("novicegym.dialogs").joinpath("prompts", f"{name}.txt")
    return path.read_text(encoding="utf-8").strip()


def system_prompt(fmt: DialogFormat) -> str:
    """Return the system message: who the model is, and how it answers."""
    if fmt.system_prompt is not None:
        return fmt.system_prompt
    role = "system_no_feedback" if fmt.feedback == "none" else "system"
    return f"{prompt_text(role)}\n\n{prompt_text(f'answer_{fmt.code}')}"


def open_dialog(assignment: Assignment, fmt: DialogFormat) -> Dialog:
    """Return the dialog before the first submission: system prompt and assignment."""
    return [
        {"role": "system", "content": system_prompt(fmt)},
        {"role": "user", "content": assignment_text(assignment)},
    ]


def assignment_text(assignment: Assignment) -> str:
    """Return what a dialog says of an assignment: the prompt, the name asked for, the starter."""
    text = assignment.prompt.strip()
    starter = (assignment.starter or "").strip("\n")
    name = assignment.entry_point
    if name and name not in text and name not in starter:
        text += f"\n\nName the function `{name}`."
    if starter:
        text += "\n\nStart from this code:\n" + fence("python", starter)
    return text


def assistant_message(code: str, previous: str | None, fmt: DialogFormat) -> Message:
    """Return the message that submits `code` after `previous`."""
    diff = None
    if fmt.code == "dual" and previous is not None:
        diff = small_diff(previous, code)
    content = fence("python", code) if diff is None else fence("diff", diff)
    return {"role": "assistant", "content": content}


def feedback_message(verdict: Verdict, fmt: DialogFormat, message: str = "") -> Message:
    """Return the autograder's answer to a submission, with what a tutor adds to it."""
    feedback = render_feedback(verdict, fmt.feedback)
    return {"role": "user", "content": with_message(feedback, message)}


def serialize(
    assignment: Assignment,
    turns: Sequence[tuple[str, Verdict | None]],
    fmt: DialogFormat,
    messages: Sequence[str] = (),
) -> Dialog:
    """Return the dialog of these (code, verdict) turns, every call a new object.

    Only the last verdict may be None: the dialog then ends with that submission. messages: what
    a tutor said after each turn, "" for nothing; () where there is no tutor.
    """
    check_messages(turns, messages)
    dialog = open_dialog(assignment, fmt)
    previous: str | None = None
    for number, (code, verdict) in enumerate(turns, start=1):
        message = messages[number - 1] if messages else ""
        dialog.append(assistant_message(code, previous, fmt))
        if verdict is not None:
            dialog.append(feedback_message(verdict, fmt, message))
        elif number < len(turns):
            raise UsageError(
                f"turn {number} of {len(turns)} has no verdict; only the last one may lack it"
            )
        elif message.strip():
            raise UsageError(f"turn {number} has no verdict, so a tutor's message has no place")
        previous = code
    return dialog


def with_past(dialog: Dialog, past: Dialog) -> Dialog:
    """Return a student's dialog as it goes on from an earlier one of hers, as a new object.

    The system message is the earlier one's.
    """
    merged: Dialog = [message.copy() for message in past]
    later = [message.copy() for message in dialog if message["role"] != "system"]
    if merged[-1]["role"] == "user":  # roles alternate
        opening = later.pop(0)["content"]
        merged[-1]["content"] += f"\n\nThe next assignment:\n\n{opening}"
    return [*merged, *later]


def check_messages(turns: Sequence[object], messages: Sequence[str]) -> None:
    """Raise UsageError unless there is one message per turn, or none at all."""
    if messages and len(messages) != len(turns):
        raise UsageError(
            f'a tutor\'s messages are one per turn, "" for none: got {len(messages)} messages '
            f"for {len(turns)} turns"
        )


def parse_dialog(dialog: Dialog, fmt: DialogFormat) -> list[Turn]:
    """Return the submissions, feedback and tutor's messages of a dialog; undoes `serialize`.

    Submissions may also be a model's own words: they are read by `extract_code`, diffs only in
    the format "dual". Raises UsageError where the roles are not those of `serialize`.
    """
    roles = [message["role"] for message in dialog]
    expected = ["system", "user", *(("assistant", "user") * len(dialog))][: len(dialog)]
    if len(dialog) < 2 or roles != expected:
        raise UsageError(
            f"a dialog's roles are system, user, then assistant and user in turn; got {roles}"
        )
    turns: list[Turn] = []
    for index in range(2, len(dialog), 2):
        previous = turns[-1].code if turns and fmt.code == "dual" else None
        code = extract_code(dialog[index]["content"], previous).code
        if index + 1 < len(dialog):
            turns.append(Turn(code, *split_message(dialog[index + 1]["content"])))
        else:
            turns.append(Turn(code, None))
    return turns
