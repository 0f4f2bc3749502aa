"""Every error novicegym raises on purpose.

    NovicegymError
    ├── UsageError      the caller asked for something that does not exist or cannot be
    │   └── EndpointError   of an API: a wrong key, an unknown model; whatever is asked
    ├── CourseError     bad data: names the file, the row and the field
    ├── GraderError     infrastructure: a worker died, the sandbox cannot start
    └── AgentError      infrastructure: a policy could not be asked

A wrong, hostile or unparsable submission is a `Verdict`, never an exception; a dead
worker is a `GraderError`, never a grade of 0.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NovicegymError(Exception):
    """Base of all errors raised by novicegym; its message is one line fit for a user."""


class UsageError(NovicegymError, ValueError):
    """A name, option or combination that does not exist."""


class EndpointError(UsageError):
    """An API does not know the caller's key or model, so no request to it can succeed."""


class CourseError(NovicegymError, ValueError):
    """Bad course data. `where` names the file and, when known, the row and the field."""

    def __init__(
        self,
        reason: str,
        *,
        file: str | None = None,
        row: int | None = None,
        field: str | None = None,
        value: object = None,
    ) -> None:
        self.reason, self.file, self.row, self.field, self.value = reason, file, row, field, value
        parts = []
        if file is not None:
            parts.append(file)
        if row is not None:
            parts.append(f"row {row}")
        if field is not None:
            parts.append(f"field {field!r}")
        if value is not None:
            text = repr(value)
            parts.append(f"value {text if len(text) <= 80 else text[:77] + '...'}")
        super().__init__(f"{', '.join(parts)}: {reason}" if parts else reason)


class GraderError(NovicegymError, RuntimeError):
    """The grading infrastructure failed; the submission was not judged."""


class AgentError(NovicegymError, RuntimeError):
    """A policy could not be asked; what it would have submitted is not known."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return a `UsageError` that lists what exists and the closest match to `name`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
    return UsageError(f"unknown {kind} {name!r}.{hint} Known: {shown or 'none'}")
