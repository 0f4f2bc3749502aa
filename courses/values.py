"""Python values as JSON and back, for expected answers in course files.

None, bool, int, finite float, str and list stand for themselves; everything else is an
object with one key that names its type: {"tuple": [...]}, {"set": [...]},
{"frozenset": [...]}, {"dict": [[key, value], ...]}, {"bytes": hex}, {"float": "nan"},
{"complex": [re, im]}. Set members are sorted by their encoded text, so equal values have
equal text.
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""None, bool, int, float, complex, str, bytes, or a list, tuple, dict, set, frozenset of such."""


def encode_value(value: Value) -> Any:
    """Return `value` as JSON-able data. Raises TypeError for anything but exact builtin types."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is list:
        return [encode_value(item) for item in value]
    if kind is tuple:
        return {"tuple": [encode_value(item) for item in value]}
    if kind in (set, frozenset):
        members = sorted((encode_value(item) for item in value), key=json.dumps)
        return {kind.__name__: members}
    if kind is dict:
        return {"dict": [[encode_value(k), encode_value(v)] for k, v in value.items()]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is complex:
        return {"complex": [encode_value(value.real), encode_value(value.imag)]}
    raise TypeError(f"a test value must be a plain Python value, got {kind.__name__}")


def decode_value(data: Any) -> Value:
    """Inverse of `encode_value`. Raises ValueError for an object with no known type key."""
    if isinstance(data, list):
        return [decode_value(item) for item in data]
    if not isinstance(data, dict):
        return data
    if len(data) == 1:
        [(kind, body)] = data.items()
        if kind == "tuple":
            return tuple(decode_value(item) for item in body)
        if kind == "set":
            return {decode_value(item) for item in body}
        if kind == "frozenset":
            return frozenset(decode_value(item) for item in body)
        if kind == "dict":
            return {decode_value(k): decode_value(v) for k, v in body}
        if kind == "bytes":
            return bytes.fromhex(body)
        if kind == "float":
            return float(body)
        if kind == "complex":
            return complex(decode_value(body[0]), decode_value(body[1]))
    raise ValueError(f"not a test value: {data!r}; write a dict as {{'dict': [[key, value], ...]}}")
