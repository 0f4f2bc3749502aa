"""Values as one line of text: what every runner's child says, and how the supervisor reads it.

The text is JSON in which every container is an array that opens with a tag:

    null true false 3 2.5 "text"
    ["i", "0x.."]   int beyond 64 bits        ["f", "nan"]    float that JSON lacks
    ["l", ...] ["t", ...]                     list, tuple
    ["s", ...] ["z", ...]                     set, frozenset, members sorted by their text
    ["d", key, value, ...]                    dict, in its order
    ["b", hex] ["c", re, im]                  bytes, complex
    ["o", "name"]                             any other object: only its type's name

What a language has no plain value for is opaque, and equals nothing.
"""

from __future__ import annotations

from typing import Any

_FEW = 500


class Opaque:
    """Stands for an object that is no plain value; equal to nothing but itself."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind}>"


def decode(tree: Any) -> Any:
    """Return the value of a parsed text (`json.loads` of it). Raises ValueError on any other text.

    Members of sets and keys of dicts must be hashable, so a set that claims to hold a list
    is malformed.
    """
    if not isinstance(tree, list):
        if isinstance(tree, dict):
            raise ValueError("malformed reply: an object")
        return tree
    if not tree or not isinstance(tree[0], str):
        raise ValueError("malformed reply: no tag")
    tag, body = tree[0], tree[1:]
    try:
        if tag == "l":
            return [decode(item) for item in body]
        if tag == "t":
            return tuple([decode(item) for item in body])
        if tag == "d":
            if len(body) % 2:
                raise ValueError("malformed reply: a key without value")
            keys = [decode(key) for key in body[::2]]
            _check_hashes(keys)
            return dict(zip(keys, map(decode, body[1::2]), strict=True))
        if tag in ("s", "z"):
            members = [decode(item) for item in body]
            _check_hashes(members)
            return set(members) if tag == "s" else frozenset(members)
        if tag == "c":
            return complex(_number(body[0]), _number(body[1]))
        [text] = body
        if tag == "i":
            return int(text, 16)
        if tag == "f":
            return float(text)
        if tag == "b":
            return bytes.fromhex(text)
        if tag == "o":
            return Opaque(str(text))
    except (TypeError, IndexError) as error:
        raise ValueError(f"malformed reply: {error}") from None
    raise ValueError(f"malformed reply: tag {tag!r}")


def _check_hashes(members: list[Any]) -> None:
    """Raise ValueError where many members share a hash: to put them into a set takes forever."""
    if len(members) > _FEW and len({hash(member) for member in members}) < len(members) // 2:
        raise ValueError("malformed reply: colliding hashes")


def _number(tree: Any) -> float:
    value = decode(tree)
    if not isinstance(value, float):
        raise ValueError("malformed reply: a part that is no float")
    return value
