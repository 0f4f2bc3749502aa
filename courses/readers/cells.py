"""Single values of a log: text, times, grades, flags. Whatever does not fit is a `CellError`.

Blank means: missing, empty or white, or one of NA, NaN, NULL, None in any case.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from novicegym.courses.columns import is_unicode, naive_time
from novicegym.errors import UsageError

_BLANKS = frozenset({"", "na", "nan", "null", "none"})
_FLAGS = {"true": True, "t": True, "yes": True, "1": True, "1.0": True} | {
    "false": False, "f": False, "no": False, "0": False, "0.0": False
}  # fmt: skip
_US_FORMATS = ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p")
_EPOCH_UNITS = {9: 1.0, 10: 1.0, 12: 1e-3, 13: 1e-3, 15: 1e-6, 16: 1e-6}
"""Seconds in one unit of a Unix time, by its number of digits."""


class CellError(ValueError):
    """A value that cannot be used; the message says why."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy
        """What to do where not this value but the reading of its column is likely wrong."""


def as_text(value: object) -> str:
    """Return text as it is and numbers as digits (an id column may be of any type)."""
    if isinstance(value, str):
        if not is_unicode(value):
            raise CellError("the text is not valid UTF-8")
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of integers with gaps is one of floats
    if isinstance(value, (int, float)):
        return str(value)
    raise CellError(f"not text but {type(value).__name__}")


def as_code(value: object) -> str:
    """Return a program's text; raises CellError for anything but text."""
    if not isinstance(value, str):
        raise CellError("no program" if value is None else f"not text but {type(value).__name__}")
    return as_text(value)


def as_blank(value: object) -> bool:
    """Return whether the value says that there is none."""
    if isinstance(value, str):
        return value.strip().lower() in _BLANKS
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_time(value: object) -> datetime:
    """Return a naive time from ISO 8601, month/day/year, or a Unix time in s, ms or us."""
    if isinstance(value, datetime):
        return naive_time(value)
    text = as_text(value).strip()
    if match := re.fullmatch(r"(\d+)(\.\d+)?", text):
        unit = _EPOCH_UNITS.get(len(match[1]))
        if unit is not None:
            epoch = datetime(1970, 1, 1, tzinfo=UTC)
            return naive_time(epoch + timedelta(seconds=float(text) * unit))
    try:
        return naive_time(datetime.fromisoformat(text.removesuffix(" UTC")))
    except (ValueError, OverflowError):
        pass
    for form in _US_FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    raise CellError("not a time; ISO 8601, month/day/year and Unix times are read")


def as_order(value: object) -> int:
    """Return a whole number of 64 bits."""
    try:
        number = int(text) if re.fullmatch(r"[+-]?\d+", text := as_text(value).strip()) else None
        if number is None and float(text).is_integer():
            number = int(float(text))
    except (ValueError, OverflowError):
        number = None
    if number is None or not -(2**63) <= number < 2**63:
        raise CellError("not a whole number")
    return number


def as_number(value: object) -> float:
    """Return a finite number."""
    if isinstance(value, (int, float)):  # True and False are 1 and 0
        number = float(value)
    else:
        try:
            number = float(as_text(value))
        except ValueError:
            raise CellError("not a number") from None
    if not math.isfinite(number):
        raise CellError("not a finite number")
    return number


def check_grade_scale(scale: float) -> None:
    """Raise UsageError for what cannot be a full mark."""
    if not (scale > 0 and math.isfinite(scale)):
        raise UsageError(f"grade_scale must be a number above 0, got {scale}")


def as_grade(value: object, scale: float) -> float:
    """Return a grade in [0, 1] from one in [0, `scale`]."""
    points = as_number(value)
    if not 0 <= points <= scale:
        remedy = ""
        if scale == 1 and points > 1:  # no scale was given
            mark = "100" if points <= 100 else "MARK"
            remedy = (
                f"if grades go up to {mark} give grade_scale={mark} (--reader grade_scale={mark})"
            )
        raise CellError(f"a grade out of range, 0 to {scale:g}", remedy)
    return points / scale


def as_flag(value: object) -> bool:
    """Return true or false from TRUE/FALSE, yes/no, 1/0."""
    if isinstance(value, bool):
        return value
    flag = _FLAGS.get(as_text(value).strip().lower())
    if flag is None:
        raise CellError("neither true nor false")
    return flag


def as_grade_or_flag(value: object, scale: float) -> float:
    """Return a grade in [0, 1] from points or from TRUE/FALSE."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if isinstance(value, bool) or (text in _FLAGS and text.isalpha()):  # 1 is a point
        return float(as_flag(value))
    return as_grade(value, scale)
