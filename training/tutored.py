"""What a tutor says of logged states, as the dialogs that a tutor model is trained on.

A dialog is the tutor's side of a log up to a drawn place, and one message: what the tutor says of
the last submission there. The students did not hear the messages, so a model learns what to say,
and nothing of what comes of it; that is DAPO's part.

Covered: any tutor; a message that is empty is learnt as one. Not covered: messages that follow
others of the tutor's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from novicegym.agents.base import Agent
from novicegym.dialogs.serialize import DialogFormat
from novicegym.envs.episode import EpisodeRules, Start, begin
from novicegym.grading.grader import Grader
from novicegym.training.logged import LoggedDialog

_AT_ONCE = 32


def tutored_dialogs(
    starts: Sequence[Start],
    tutor: Agent,
    grader: Grader,
    fmt: DialogFormat,
    *,
    silence: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> list[LoggedDialog]:
    """Return a dialog for each start that ends with the tutor's message.

    starts: each with a submission at least. silence: what the model is to say where the tutor
    says nothing. progress: called with (dialogs done, dialogs in all).
    """
    rules = EpisodeRules(format=fmt)
    found: list[LoggedDialog] = []
    for first in range(0, len(starts), _AT_ONCE):
        episodes = begin(starts[first : first + _AT_ONCE], rules, grader)
        dialogs = [episode.tutor_dialog() for episode in episodes]
        messages = tutor.act(dialogs, [episode.info(reveal=False) for episode in episodes])
        for episode, message in zip(episodes, messages, strict=True):
            answer = message.strip() or silence
            found.append(
                LoggedDialog(
                    episode.start.student_id,
                    episode.start.assignment.id,
                    tuple(code for code, _ in episode.turns),
                    tuple(verdict for _, verdict in episode.turns if verdict is not None),
                    [*episode.tutor_dialog(), {"role": "assistant", "content": answer}],
                )
            )
        if progress is not None:
            progress(len(found), len(starts))
    return found
