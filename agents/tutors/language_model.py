"""A language model as a tutor, local or behind an API.

It reads the tutor's dialog and nothing else, as any model reads its dialog. What it says is what
the student reads, without its thinking, without control characters and outer white space. Where
there is nothing to help with, before a first submission and after a correct one, it is not asked.

Saying nothing. In the tutor's dialog that is an empty assistant message. A model of ours takes it
as it stands, in training and here. Many endpoints refuse it, and so do some chat templates; for
those the dialog says `(nothing)` in its place, and a model that so learns to answer, or says that
no hint is needed in as many words, says nothing.

Covered: whatever `agents.registry` knows as a language model; batches. Not covered: a model that
gives the solution away although its prompt forbids it, which is what `rewards/leak.py` is for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from novicegym.agents.base import Agent
from novicegym.agents.tutors.states import State, has_failed
from novicegym.agents.tutors.words import spoken
from novicegym.dialogs.extract import without_thinking
from novicegym.dialogs.serialize import Dialog

NOTHING = "(nothing)"
"""What stands for an empty message where a model cannot be shown one."""
_NOTHINGS = re.compile(
    r"(?:nothing|none|n/a|empty|silence|no (?:hint|message|comment|help)(?: (?:is )?needed)?)?"
)


class LanguageModelTutor:
    """Says what a language model answers to the tutor's dialog.

    Knows: the assignment's text, the submissions and the grader's feedback on them, its own
    messages; and what the model has learned. Does not know: tests, solutions or logs.
    """

    def __init__(self, agent: Agent) -> None:
        """agent: a language model; one whose `takes_empty_turns` is True reads "" as it is."""
        self.name = agent.name
        self.model = agent
        self._silence = "" if getattr(agent, "takes_empty_turns", False) else NOTHING

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[State]) -> list[str]:
        """Return the model's messages; raises what the model raises, see its `act`."""
        asked = [place for place, info in enumerate(infos) if has_failed(info)]
        answers = self.model.act(
            [readable(dialogs[place], self._silence) for place in asked],
            [infos[place] for place in asked],
        )
        said = [""] * len(dialogs)
        for place, answer in zip(asked, answers, strict=True):
            said[place] = read_message(answer)
        return said


def readable(dialog: Dialog, silence: str) -> Dialog:
    """Return a tutor's dialog with `silence` where the tutor said nothing."""
    return [
        {
            "role": message["role"],
            "content": silence
            if message["role"] == "assistant" and not message["content"].strip()
            else message["content"],
        }
        for message in dialog
    ]


def read_message(answer: str) -> str:
    """Return the message in what a model said; "" where it says that it has nothing to say."""
    message = spoken(without_thinking(answer))
    bare = " ".join(message.strip("()[]{}<>*_\"'`.!- \n").lower().split())
    return "" if _NOTHINGS.fullmatch(bare) else message
