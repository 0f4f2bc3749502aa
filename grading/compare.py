"""Whether what a program gave is what the test expects.

Values: deep equality in which types matter: True is not 1, a list is no tuple, text no bytes,
a set no frozenset; 3 equals 3.0 (`TypeRule` widens or narrows that); two numbers may differ by
the tolerance, at any depth; nan equals nan; the order of sets and dicts does not count. An
opaque object equals nothing.

Output: line by line; white space at the end of a line and blank lines at the end are ignored.
Everything else counts: white space at the start of a line, capitals, blank lines in between.
"""

from __future__ import annotations

import math
from typing import Any

from novicegym.courses.suite import TypeRule
from novicegym.courses.values import Value
from novicegym.grading.canonical import Opaque


def equal_values(
    actual: Value | Opaque, expected: Value, *, tolerance: float = 0.0, types: TypeRule = "plain"
) -> bool:
    """Return whether `actual`, of plain builtin types, equals `expected` by the rules above."""
    if isinstance(actual, Opaque):
        return False
    if types == "python":
        actual, expected = _number_if_bool(actual), _number_if_bool(expected)
    kind, wanted = type(actual), type(expected)
    if kind is not wanted:
        numeric = {kind, wanted} <= {int, float, complex}
        return numeric and types != "strict" and _equal_numbers(actual, expected, tolerance)
    if kind in (int, float, complex):
        return _equal_numbers(actual, expected, tolerance)
    if kind in (list, tuple):
        return len(actual) == len(expected) and all(
            equal_values(a, e, tolerance=tolerance, types=types)
            for a, e in zip(actual, expected, strict=True)
        )
    if kind is dict:
        return _equal_dicts(actual, expected, tolerance, types)
    if kind in (set, frozenset):
        return _equal_sets(actual, expected, tolerance, types)
    return bool(actual == expected)


def equal_output(actual: str, expected: str) -> bool:
    """Return whether two printed texts are equal by the rules above."""
    return _lines(actual) == _lines(expected)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _equal_numbers(actual: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(actual, complex) or isinstance(expected, complex):
        a, e = complex(*_parts(actual)), complex(*_parts(expected))
        return _equal_numbers(a.real, e.real, tolerance) and _equal_numbers(
            a.imag, e.imag, tolerance
        )
    if actual == expected:
        return True
    if actual != actual or expected != expected:
        return bool(actual != actual and expected != expected)
    if tolerance <= 0 or math.isinf(actual if isinstance(actual, float) else 0.0):
        return False
    try:
        return bool(abs(actual - expected) <= tolerance)
    except OverflowError:  # an int beyond the floats against a float
        return False


def _parts(number: Any) -> tuple[float, float]:
    if isinstance(number, complex):
        return number.real, number.imag
    try:
        return float(number), 0.0
    except OverflowError:
        return (math.inf if number > 0 else -math.inf), 0.0


def _equal_dicts(
    actual: dict[Any, Any], expected: dict[Any, Any], tolerance: float, types: TypeRule
) -> bool:
    if len(actual) != len(expected):
        return False
    by_key = {_key(key, types): item for key, item in actual.items()}
    for key, item in expected.items():
        wanted = _key(key, types)
        if wanted not in by_key:
            return False
        if not equal_values(by_key[wanted], item, tolerance=tolerance, types=types):
            return False
    return True


def _equal_sets(actual: Any, expected: Any, tolerance: float, types: TypeRule) -> bool:
    if len(actual) != len(expected):
        return False
    ours = {_key(member, types) for member in actual}
    theirs = {_key(member, types) for member in expected}
    if ours == theirs:
        return True
    numbers = all(type(n) in (int, float) for group in (actual, expected) for n in group)
    if not tolerance or not numbers:
        return False
    return all(
        equal_values(a, e, tolerance=tolerance, types=types)
        for a, e in zip(sorted(actual), sorted(expected), strict=True)
    )


def _key(value: Any, types: TypeRule) -> Any:
    """Return a hashable stand-in: equal keys exactly where `equal_values` says equal."""
    if types == "python":
        value = _number_if_bool(value)
    kind = type(value)
    if kind in (int, float, complex):
        if value != value:
            return ("number", repr(value))
        return (kind.__name__ if types == "strict" else "number", value)
    if kind is tuple:
        return ("tuple", tuple([_key(item, types) for item in value]))
    if kind is frozenset:
        return ("frozenset", frozenset([_key(item, types) for item in value]))
    return (kind.__name__, value)


def _number_if_bool(value: Any) -> Any:
    return int(value) if type(value) is bool else value
