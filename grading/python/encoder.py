"""Plain Python values as canonical text; the format is described in ../canonical.py.

Only stored data is read, with the methods of the builtin type itself, so nothing that a student's
class defines can speak for it: an instance of a subclass (Counter, a named tuple, an int with a
lying `__eq__`) counts as the builtin value it holds. Everything else is opaque and equals nothing.
Nesting beyond 100 levels and text beyond `room` characters are opaque too.

Runs in the child: it imports nothing of ours, and little of anything.
"""

from __future__ import annotations

from _json import encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 100
_SMALL = 1 << 63


class _TooLargeError(Exception):
    """The text would exceed its room."""


def encode(value: Any, room: int) -> str:
    """Return the text of `value`; never raises for any object, and takes at most about `room`."""
    parts: list[str] = []
    try:
        _write(value, parts, [room], 0)
    except _TooLargeError:
        return '["o","too large"]'
    except RecursionError:
        return '["o","too deep"]'
    return "".join(parts)


def _write(value: Any, parts: list[str], room: list[int], depth: int) -> None:
    kind = type(value)
    if value is None:
        text = "null"
    elif value is True:
        text = "true"
    elif value is False:
        text = "false"
    elif issubclass(kind, int):
        number = int.__int__(value)
        if -_SMALL < number < _SMALL:
            text = int.__repr__(number)
        else:
            if number.bit_length() > 4 * room[0]:
                raise _TooLargeError
            text = f'["i","{number:#x}"]'
    elif issubclass(kind, float):
        real = float.__float__(value)
        # nan and the infinities are the only floats whose difference from themselves is not 0.
        text = float.__repr__(real) if real - real == 0.0 else f'["f","{float.__repr__(real)}"]'
    elif issubclass(kind, str):
        if str.__len__(value) > room[0]:
            raise _TooLargeError
        text = encode_basestring_ascii(str.__str__(value))
    elif issubclass(kind, bytes):
        raw = bytes.__getitem__(value, slice(None, None))
        if 2 * len(raw) > room[0]:
            raise _TooLargeError
        text = f'["b","{raw.hex()}"]'
    elif issubclass(kind, (list, tuple, dict, set, frozenset)):
        _write_container(value, kind, parts, room, depth)
        return
    elif issubclass(kind, complex):
        number_ = complex.__complex__(value)
        inner: list[str] = []
        _write(number_.real, inner, room, depth)
        _write(number_.imag, inner, room, depth)
        text = f'["c",{inner[0]},{inner[1]}]'
    else:
        text = f'["o",{encode_basestring_ascii(_type_name(kind))}]'
    room[0] -= len(text) + 1
    if room[0] < 0:
        raise _TooLargeError
    parts.append(text)


def _write_container(value: Any, kind: type, parts: list[str], room: list[int], depth: int) -> None:
    if depth >= MAX_DEPTH:
        parts.append('["o","too deep"]')
        return
    room[0] -= 6
    if room[0] < 0:
        raise _TooLargeError
    if issubclass(kind, list):
        tag, members = "l", list.__iter__(value)
    elif issubclass(kind, tuple):
        tag, members = "t", tuple.__iter__(value)
    elif issubclass(kind, dict):
        parts.append('["d"')
        for key, item in dict.items(value):
            parts.append(",")
            _write(key, parts, room, depth + 1)
            parts.append(",")
            _write(item, parts, room, depth + 1)
        parts.append("]")
        return
    else:
        is_set = issubclass(kind, set)
        texts = []
        for member in set.__iter__(value) if is_set else frozenset.__iter__(value):
            inner: list[str] = []
            _write(member, inner, room, depth + 1)
            texts.append("".join(inner))
        texts.sort()
        parts.append(",".join(['["s"' if is_set else '["z"', *texts]) + "]")
        return
    parts.append(f'["{tag}"')
    for member in members:
        parts.append(",")
        _write(member, parts, room, depth + 1)
    parts.append("]")


def _type_name(kind: type) -> str:
    try:
        return str.__str__(type.__dict__["__name__"].__get__(kind))[:80]
    except Exception:
        return "object"
