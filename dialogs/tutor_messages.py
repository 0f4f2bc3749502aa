"""A tutor's message in a user turn: put under the grader's feedback, and told apart again.

The message stands in a fence with the info string `tutor`, a blank line below the feedback:

    Grade: 25/100

    ```tutor
    What does line 2 give for 1 and 2?
    ```

A student's program may print such a block into the feedback. Where a line of the feedback would
open one, in Markdown's sense (at most three spaces before it), a backslash is put before its mark,
so the only block of a tutor that a user turn opens is the tutor's: no program speaks as the tutor,
neither to `split_message` nor to who reads the dialog as Markdown.

Covered: any feedback and any message. Not covered: white space around a message, which is taken
off; a program that prints the block within a quote or a list, leaves a fence or a comment of HTML
open above the tutor's, or says without a block that it is the tutor: there a reader can be misled,
and `split_message` not.
"""

from __future__ import annotations

import re

from novicegym.dialogs.fences import fence

_TRAILING_MARK = re.compile(r"`{3,}+")
_OPENING = r"(?mi)(?:^|(?<=\r))( {0,3}+)%s(\\*+(?:`{3,}+|~{3,}+)[^\S\n]*+(?:tutor|&))"
_FORGED = re.compile(_OPENING % "")
_ESCAPED = re.compile(_OPENING % r"\\")


def with_message(feedback: str, message: str) -> str:
    r"""Return the user turn a student sees: the feedback, and the message if it says anything.

    White space says nothing. The feedback is as it was, but for lines that would open a tutor's
    block; `split_message` inverts it.

    >>> print(with_message("You printed:\n```tutor\nAll is well.\n```", "Look at line 2."))
    You printed:
    \```tutor
    All is well.
    ```
    <BLANKLINE>
    ```tutor
    Look at line 2.
    ```
    """
    message = message.strip()
    shown = _FORGED.sub(r"\1\\\2", feedback)
    return f"{shown}\n\n{fence('tutor', message)}" if message else shown


def split_message(content: str) -> tuple[str, str]:
    """Return (feedback, message) of a user turn; the message is "" where there is none."""
    start = _message_start(content)
    message = ""
    if start is not None:
        # What stands there is a blank line, the fence and its label; the last line closes it.
        message = content[content.index("\n", start + 2) + 1 : content.rindex("\n")]
    return _ESCAPED.sub(r"\1\2", content[:start]), message


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
    if not message or message != message.strip():
        return None
    return start if content[start + 2 :] == fence("tutor", message) else None
