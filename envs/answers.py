"""A tutor's answers: to a batch at once, what goes wrong kept to the dialog it concerns.

A tutor that fails leaves its student with the grader's feedback alone, and the reason is told.
A batch in which it raises is asked again one dialog at a time, so that only the dialog at fault
stays without an answer; each of these has the whole time limit again. A tutor that has a time
limit answers in a thread. When the time is up the whole batch stays without an answer, and the
thread is left behind: until that call has ended the tutor is not asked again, and its dialogs
fail. So at most one thread a tutor waits.

Covered: exceptions, a `UsageError` of the tutor's own (a prompt that does not fit) among them;
time limits; answers that are no text. Not covered: repeating what failed; a tutor that never
returns and has no limit. Raised are what no dialog is to blame for: no list of one answer per
dialog, an `EndpointError`, and a `GraderError`, after which nobody knows what is true.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from novicegym.dialogs.serialize import Dialog
from novicegym.envs.partner import Partner
from novicegym.errors import EndpointError, GraderError, UsageError

if TYPE_CHECKING:
    from novicegym.envs.episode import Episode

_REASON_CHARS = 200

# Here and not at the tutor: it may be any object, and an environment that holds it is pickled.
_hanging: list[tuple[Partner, threading.Thread]] = []
_hanging_lock = threading.Lock()


class Answer(NamedTuple):
    """What a tutor said about one dialog."""

    message: str
    failure: str
    """Why there is no message, on one line; "" where the tutor answered, if only with nothing."""


class _TimeUpError(Exception):
    """The tutor has not answered in time."""


class _ContractError(UsageError):
    """The tutor's `act` returns what it must not: the caller's to mend."""


def ask_tutor(tutor: Partner, episodes: Sequence[Episode]) -> list[Answer]:
    """Return the tutor's answer about the last submission of each episode, in order.

    Raises UsageError where the tutor's `act` returns no list of one answer per dialog, and what
    it raises itself only where that is a GraderError, an EndpointError or no Exception.
    """
    if not episodes:
        return []
    # New objects for every call: a tutor that fails may have changed what it was given.
    dialogs = [episode.tutor_dialog() for episode in episodes]
    infos = [episode.info(reveal=False) for episode in episodes]
    limits = {episode.rules.tutor_timeout for episode in episodes}
    limit = min((limit for limit in limits if limit is not None), default=None)
    try:
        said = _act(tutor, dialogs, infos, limit)
    except (_ContractError, EndpointError, GraderError):
        raise
    except _TimeUpError as error:
        return [Answer("", _reason(error))] * len(episodes)
    except Exception as error:
        if len(episodes) == 1:
            return [Answer("", _reason(error))]
        return [ask_tutor(tutor, [episode])[0] for episode in episodes]
    return [_answer(message) for message in said]


def _act(
    tutor: Partner,
    dialogs: Sequence[Dialog],
    infos: Sequence[Mapping[str, Any]],
    limit: float | None,
) -> Sequence[object]:
    if _hangs(tutor):
        raise _TimeUpError("not asked: an earlier call has not ended")
    said: object = (
        tutor.act(dialogs, infos) if limit is None else _act_within(limit, tutor, dialogs, infos)
    )
    if not isinstance(said, (list, tuple)) or len(said) != len(dialogs):
        got = str(len(said)) if isinstance(said, (list, tuple)) else f"a {type(said).__name__}"
        raise _ContractError(
            f"tutor {tutor.name!r} must return a list of {len(dialogs)} messages, one per dialog; "
            f"got {got}"
        )
    return said


def _act_within(
    limit: float,
    tutor: Partner,
    dialogs: Sequence[Dialog],
    infos: Sequence[Mapping[str, Any]],
) -> object:
    ended: queue.SimpleQueue[tuple[object, BaseException | None]] = queue.SimpleQueue()

    def act() -> None:
        try:
            ended.put((tutor.act(dialogs, infos), None))
        except BaseException as error:  # raised below, where somebody waits for it
            ended.put((None, error))

    # A daemon: a tutor that hangs must not keep the program from ending.
    thread = threading.Thread(target=act, name=f"tutor {tutor.name}", daemon=True)
    thread.start()
    try:
        said, error = ended.get(timeout=limit)
    except queue.Empty:
        with _hanging_lock:
            _hanging.append((tutor, thread))
        raise _TimeUpError(f"no answer within {limit:g} s") from None
    if error is not None:
        raise error
    return said


def _hangs(tutor: Partner) -> bool:
    """Whether a call of the tutor whose time was up still runs."""
    with _hanging_lock:
        _hanging[:] = [(one, thread) for one, thread in _hanging if thread.is_alive()]
        return any(one is tutor for one, _ in _hanging)


def _answer(message: object) -> Answer:
    if isinstance(message, str):
        return Answer(message, "")
    return Answer("", f"a message is text, got {type(message).__name__}")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if not isinstance(error, _TimeUpError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _REASON_CHARS else text[: _REASON_CHARS - 3] + "..."
