"""The tutor's side of an episode as a chat; what it says to the student is in `tutor_messages`.

The system message says what a tutor is for (`prompts/tutor.txt`). The first user message is the
assignment with the submissions made before the tutor is first asked, each with the grader's
feedback; from then on its messages are assistant messages, and each next submission with its
feedback a user message. Roles strictly alternate. Programs and feedback stand in fences longer
than what is inside: whatever a program says or prints, it cannot begin another submission.

Covered: whole programs at the student's feedback level; a tutor that says nothing, whose
assistant message is empty. Not covered: diffs; reading the programs back, for which there is the
student's side (`serialize`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from novicegym.courses.model import Assignment
from novicegym.dialogs.fences import fence
from novicegym.dialogs.serialize import (
    Dialog,
    DialogFormat,
    Message,
    assignment_text,
    check_messages,
    feedback_message,
    prompt_text,
)
from novicegym.dialogs.tutor_messages import split_message, with_message
from novicegym.grading.verdict import Verdict

__all__ = ["shows_submission", "split_message", "tutor_dialog", "with_message", "without_oldest"]

_HEAD = re.compile(r"\n\nSubmission (\d{1,9}):\n(`{3,}+)python\n")
_FEEDBACK = re.compile(r"\n\nFeedback:\n(`{3,}+)feedback\n")


def tutor_dialog(
    assignment: Assignment,
    turns: Sequence[tuple[str, Verdict | None]],
    messages: Sequence[str],
    fmt: DialogFormat,
    position: int,
) -> Dialog:
    """Return the tutor's side of these (code, verdict) turns, every call a new object.

    messages: what it said after each turn, "" for nothing; () where it never said anything.
    position: submissions made before the tutor came; it is first asked about the last of them,
    or about the first of all. The dialog ends with the last submission, or with the message
    about it if there is one. Raises UsageError for another number of messages than of turns.
    """
    check_messages(turns, messages)
    shown = [_submission_text(number, turn, fmt) for number, turn in enumerate(turns, start=1)]
    said = [message.strip() for message in messages] or [""] * len(turns)
    joined = max(position, 1)
    dialog: Dialog = [
        {"role": "system", "content": prompt_text("tutor")},
        {"role": "user", "content": "\n\n".join([assignment_text(assignment), *shown[:joined]])},
    ]
    for text, answer in zip(shown[joined:], said[joined - 1 :], strict=False):
        dialog.append({"role": "assistant", "content": answer})
        dialog.append({"role": "user", "content": text})
    if len(turns) >= joined and said[-1]:
        dialog.append({"role": "assistant", "content": said[-1]})
    return dialog


def _is_tutors(dialog: Dialog) -> bool:
    """Whether it is from the tutor's side, to its first user message at least."""
    return len(dialog) > 1 and dialog[0] == {"role": "system", "content": prompt_text("tutor")}


def shows_submission(dialog: Dialog) -> bool:
    """Whether it is a tutor's and shows a submission, as all do but those before the first one."""
    return _is_tutors(dialog) and _HEAD.search(dialog[1]["content"]) is not None


def without_oldest(dialog: Dialog) -> Dialog | None:
    """Return a tutor's dialog without the oldest submission in its first user message.

    None where that shows none or the last of all, which a tutor is asked about, and for any other
    dialog. Submissions keep their numbers.
    """
    if not _is_tutors(dialog):
        return None
    text = dialog[1]["content"]
    # The first from which submissions follow to the end: the assignment's text may look like one.
    for head in _HEAD.finditer(text):
        if ends := _submission_ends(text, head.start()):
            break
    else:
        return None
    if len(ends) == 1 and not any(message["role"] == "user" for message in dialog[2:]):
        return None
    opening: Message = {"role": "user", "content": text[: head.start()] + text[ends[0] :]}
    return [dialog[0].copy(), opening, *(message.copy() for message in dialog[2:])]


def _submission_ends(text: str, start: int) -> list[int]:
    """Return where each submission from `start` ends; [] if anything else stands there."""
    ends: list[int] = []
    number = None
    while start < len(text):
        head = _HEAD.match(text, start)
        if head is None or (number is not None and int(head[1]) != number + 1):
            return []
        number = int(head[1])
        start = _fence_end(text, head.end(), head[2])
        if start != -1 and (feedback := _FEEDBACK.match(text, start)) is not None:
            start = _fence_end(text, feedback.end(), feedback[1])
        if start == -1:
            return []
        ends.append(start)
    return ends


def _fence_end(text: str, start: int, mark: str) -> int:
    """Return where the fence ends whose inside begins at `start`; -1 for an open one."""
    # `fence` takes a mark that is nowhere inside.
    end = text.find(f"\n{mark}", start)
    return end if end == -1 else end + 1 + len(mark)


def _submission_text(number: int, turn: tuple[str, Verdict | None], fmt: DialogFormat) -> str:
    code, verdict = turn
    text = f"Submission {number}:\n{fence('python', code)}"
    if verdict is None:
        return text
    feedback = feedback_message(verdict, fmt)["content"]
    return f"{text}\n\nFeedback:\n{fence('feedback', feedback)}"
