"""Errors as text for a student: her own lines and Python's words, nothing of the machinery.

Runs in the child; it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

PROGRAM_FILE = "<program>"
"""The file name the program is compiled under."""
_FRAMES_SHOWN = 6
_ERROR_CHARS = 2_000


def error_text(error: BaseException, program: str) -> str:
    """Return the traceback, only the student's own lines of it, as Python words it."""
    # As Python counts them: splitlines would also split at form feeds and their like.
    lines = program.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    frames = []
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == PROGRAM_FILE:
            frames.append((trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    left_out = len(frames) - _FRAMES_SHOWN
    if left_out > 0:
        frames[2:-4] = [(0, f"... {left_out} more calls ...")]
    shown = []
    for number, name in frames:
        if not number:
            shown.append(name)
            continue
        where = "" if name == "<module>" else f", in {name}"
        source = lines[number - 1].strip()[:200] if number <= len(lines) else ""
        shown.append(f"line {number}{where}\n    {source}" if source else f"line {number}{where}")
    kind = type(error)
    if isinstance(error, SyntaxError):
        shown.append(_syntax_error(error))
    else:
        text = message(error)
        shown.append(f"{kind.__name__}: {text}" if text else kind.__name__)
    return "\n".join(shown)[:_ERROR_CHARS]


def message(error: BaseException) -> str:
    """Return the error's own text, whatever its class makes of that."""
    try:
        return str(str(error))[:500]
    except BaseException:
        return "<no message>"


def compile_error(error: BaseException) -> str:
    """Return what is wrong with a program that does not compile."""
    if isinstance(error, SyntaxError):
        return _syntax_error(error)[:_ERROR_CHARS]
    if isinstance(error, UnicodeEncodeError):
        return "SyntaxError: the program contains characters that are not valid Unicode"
    text = message(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _syntax_error(error: SyntaxError) -> str:
    shown = []
    if error.lineno is not None:
        shown.append(f"line {error.lineno}")
        text = (error.text or "").rstrip()[:200]
        source = text.lstrip()
        if source:
            shown.append("    " + source)
            column = (error.offset or 0) - 1 - (len(text) - len(source))
            if 0 <= column <= len(source):
                shown.append("    " + " " * column + "^")
    shown.append(f"{type(error).__name__}: {error.msg}")
    return "\n".join(shown)
