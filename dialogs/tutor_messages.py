"""A tutor's message in a user turn: put under the grader's feedback, and told apart again.

The message stands in a fence with the info string `tutor`, a blank line below the feedback:

    Grade: 25/100

    ```tutor
    What does line 2 give for 1 and 2?
    ```

Covered: any feedback and any message; a feedback that itself ends as if with such a fence, as a
student's program may print one, gets an empty fence behind it, so no program speaks as the
tutor. Not covered: white space around a message, which is taken off.
"""

from __future__ import annotations

import re

from novicegym.dialogs.fences import fence

_TRAILING_MARK = re.compile(r"`{3,}+")


def with_message(feedback: str, message: str) -> str:
    """Return the user turn a student sees: the feedback, and the message if it says anything.

    Without a message (white space is none) the feedback is unchanged, unless it ends as if with
    a tutor's fence. `split_message` inverts it.
    """
    message = message.strip()
    if not message and _message_start(feedback) is None:
        return feedback
    return f"{feedback}\n\n{fence('tutor', message)}"


def split_message(content: str) -> tuple[str, str]:
    """Return (feedback, message) of a user turn; the message is "" where there is none."""
    start = _message_start(content)
    if start is None:
        return content, ""
    # What stands at `start` is a blank line, the fence and its label; the last line closes it.
    return content[:start], content[content.index("\n", start + 2) + 1 : content.rindex("\n")]


def _message_start(content: str) -> int | None:
    """Return where the blank line above the last fence begins, if `with_message` wrote one."""
    last_line = content[content.rfind("\n") + 1 :]
    if _TRAILING_MARK.fullmatch(last_line) is None:
        return None
    # A message never holds its fence's mark, so no opening like this one is within it.
    opening = f"\n\n{last_line}tutor\n"
    start = content.rfind(opening)
    if start < 0:
        return None
    message = content[start + len(opening) : -len(last_line) - 1]
    written = message == message.strip() and content[start + 2 :] == fence("tutor", message)
    return start if written else None
