"""The order of a set of strings under PYTHONHASHSEED=0, in any process.

Published CodeBLEU values were computed with that seed, and depend on it. CPython fixes the
seed when it starts, so that a process with another one can only work the order out: the
string hash (SipHash-1-3 with a key of zeros, CPython 3.11 and later) and the open-addressing
table of `Objects/setobject.c`. The test compares it with real sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_MASK = (1 << 64) - 1
_LINEAR_PROBES = 9
_PERTURB_SHIFT = 5
_SMALLEST_TABLE = 8


def set_order(items: Iterable[str]) -> list[str]:
    """Return `list(set(items))` as a process with PYTHONHASHSEED=0 does, fewer than 50,000."""
    table: list[str | None] = [None] * _SMALLEST_TABLE
    used = 0
    for item in items:
        slot = _find_slot(table, item)
        if table[slot] is not None:
            continue
        table[slot] = item
        used += 1
        if used * 5 >= (len(table) - 1) * 3:
            size = _SMALLEST_TABLE
            while size <= used * 4:
                size *= 2
            members = [member for member in table if member is not None]
            table = [None] * size
            for member in members:
                table[_find_slot(table, member)] = member
    return [member for member in table if member is not None]


def _find_slot(table: list[str | None], item: str) -> int:
    """Return where `item` is, or where it goes."""
    mask = len(table) - 1
    perturb = string_hash(item)
    slot = perturb & mask
    while True:
        probes = _LINEAR_PROBES if slot + _LINEAR_PROBES <= mask else 0
        for probe in range(slot, slot + probes + 1):
            if table[probe] is None or table[probe] == item:
                return probe
        perturb >>= _PERTURB_SHIFT
        slot = (slot * 5 + 1 + perturb) & mask


@lru_cache(maxsize=100_000)
def string_hash(text: str) -> int:
    """Return `hash(text)` under PYTHONHASHSEED=0, as an unsigned number of 64 bits."""
    if not text:
        return 0
    widest = ord(max(text))
    width = "latin-1" if widest < 1 << 8 else "utf-16-le" if widest < 1 << 16 else "utf-32-le"
    data = text.encode(width, "surrogatepass" if widest >= 1 << 8 else "strict")
    v0, v1 = 0x736F6D6570736575, 0x646F72616E646F6D
    v2, v3 = 0x6C7967656E657261, 0x7465646279746573
    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)]
    words.append((len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    for word in words:
        v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ word)
        v0 ^= word
    v2 ^= 0xFF
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    value = v0 ^ v1 ^ v2 ^ v3
    return value if value != _MASK else _MASK - 1  # -1 means an error in C


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = ((v1 << 13 | v1 >> 51) & _MASK) ^ v0
    v0 = (v0 << 32 | v0 >> 32) & _MASK
    v2 = (v2 + v3) & _MASK
    v3 = ((v3 << 16 | v3 >> 48) & _MASK) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = ((v3 << 21 | v3 >> 43) & _MASK) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = ((v1 << 17 | v1 >> 47) & _MASK) ^ v2
    v2 = (v2 << 32 | v2 >> 32) & _MASK
    return v0, v1, v2, v3
