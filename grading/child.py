"""What runs in the forked child of one submission: the student's program, case by case.

The child reads its request from its own socket, answers with one line of canonical text a case,
and ends. It knows the calls to make and the stdin to give, never an expected answer. It imports
nothing of ours but `canonical`, and works on a private copy of the builtins, so that a program
that patches `builtins` patches only itself.

Not covered: limits and isolation, which the zygote installed before the fork.
"""

from __future__ import annotations

import io
import marshal
import posix
import sys
from _json import encode_basestring_ascii as quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, TracebackType
    from typing import Any

    from novicegym.grading import canonical

PROGRAM_FILE = "<program>"
SEED = 0
"""`random` starts from here in every test case."""
_FRAMES_SHOWN = 6
_ERROR_CHARS = 2_000

_exit = posix._exit
_write = posix.write
_read = posix.read
_encode: Callable[[Any, int], str]


class Output(io.TextIOBase):
    """What a program prints: kept up to a cap, thrown away beyond it."""

    encoding = "utf-8"  # type: ignore[assignment]
    errors = "backslashreplace"  # type: ignore[assignment]

    def __init__(self, room: int) -> None:
        self.parts: list[str] = []
        self.room = room
        self.cut = False
        self.buffer = _Bytes(self)

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        size = len(text)
        if size > self.room:
            self.cut = True
            if self.room:
                self.parts.append(text[: self.room])
                self.room = 0
        elif size:
            self.parts.append(text)
            self.room -= size
        return size

    def writable(self) -> bool:
        return True

    def text(self) -> str:
        return "".join(self.parts)


class _Bytes:
    """`sys.stdout.buffer` of an `Output`."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, data: bytes) -> int:
        self._output.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        pass


def _input(prompt: object = "", /) -> str:
    """Read one line, as `input` does, and echo no prompt."""
    str(prompt)
    line = sys.stdin.readline()
    if not line:
        raise EOFError("EOF when reading a line")
    return line[:-1] if line.endswith("\n") else line


def _quit(code: object = None) -> None:
    raise SystemExit(code)


def serve(fd: int) -> None:
    """Read the request on `fd`, carry it out, answer, and end the process."""
    size = int.from_bytes(_receive(fd, 4), "big")
    kind, *request = marshal.loads(_receive(fd, size))
    if kind == "program":
        _run_program(fd, *request)
    else:
        _run_script(fd, *request)
    _exit(0)


def _receive(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = _read(fd, min(size, 1 << 20))
        if not part:
            _exit(3)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(fd: int, text: str) -> None:
    data = memoryview(text.encode("ascii") + b"\n")
    while data:
        data = data[_write(fd, data) :]


def _run_program(
    fd: int,
    code: str,
    setup: CodeType | None,
    files: tuple[tuple[str, str], ...],
    forbidden: tuple[str, ...],
    cases: tuple[tuple[Any, ...], ...],
    output_room: int,
    reply_room: int,
) -> None:
    try:
        program = compile(code.removeprefix("\ufeff"), PROGRAM_FILE, "exec", 0, True)
        if forbidden:
            tree = compile(code.removeprefix("\ufeff"), PROGRAM_FILE, "exec", 0x400, True)
            called = _forbidden_call(tree, forbidden)
            if called is not None:
                _send(fd, f'["forbidden",{quote(called[0])},{called[1]}]')
                return
    except BaseException as error:
        _send(fd, f'["compile",{quote(_compile_error(error, code))}]')
        return
    lines = code.splitlines()
    room = reply_room // len(cases) if cases else 0
    for case in cases:
        for name, text in files:
            with open(name, "w", encoding="utf-8", newline="", errors="surrogatepass") as file:
                file.write(text)
        _send(fd, _run_case(program, setup, case, lines, output_room, room))
    _send(fd, '["end"]')


def _run_case(
    program: CodeType,
    setup: CodeType | None,
    case: tuple[Any, ...],
    lines: list[str],
    output_room: int,
    room: int,
) -> str:
    """Run the program in a fresh namespace, then the call if there is one; return the reply."""
    kind = case[0]
    main = type(sys)("__main__")
    names = main.__dict__
    builtins = sys.modules["builtins"]
    names["__builtins__"] = builtins
    sys.modules["__main__"] = main
    builtins.input = _input  # type: ignore[attr-defined]
    builtins.exit = builtins.quit = _quit  # type: ignore[attr-defined]
    stdin = case[1] if kind == "io" else ""
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogatepass")), "utf-8")
    out = sys.stdout = Output(output_room)
    err = sys.stderr = Output(output_room)
    random = sys.modules.get("random")
    if random is not None:
        random.seed(SEED)
    failure = "null"
    value = "null"
    try:
        if setup is not None:
            exec(setup, names)
        exec(program, names)
        if kind == "call":
            value = _encode(eval(marshal.loads(case[1]), names), room)
        elif kind == "apply":
            value = _encode(names[case[1]](*case[2], **case[3]), room)
    except SystemExit as error:
        if kind != "io":
            failure = f'["runtime",{quote(_error_text(error, lines))}]'
        elif error.code is not None and not isinstance(error.code, int):
            err.write(_message(error) + "\n")
    except MemoryError as error:
        failure = f'["memory",{quote(_error_text(error, lines))}]'
    except BaseException as error:
        sys.setrecursionlimit(2_000)
        failure = f'["runtime",{quote(_error_text(error, lines))}]'
    if kind == "call":
        return f'["case",{value},{quote(out.text()[-1000:])},false,"",{failure}]'
    cut = "true" if out.cut else "false"
    return f'["case",{value},{quote(out.text())},{cut},{quote(err.text())},{failure}]'


def _error_text(error: BaseException, lines: list[str]) -> str:
    """Return the traceback, only the student's own lines of it, as Python words it."""
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
        message = _message(error)
        shown.append(f"{kind.__name__}: {message}" if message else kind.__name__)
    return "\n".join(shown)[:_ERROR_CHARS]


def _message(error: BaseException) -> str:
    try:
        return str(str(error))[:500]
    except BaseException:
        return "<no message>"


def _compile_error(error: BaseException, code: str) -> str:
    if isinstance(error, SyntaxError):
        return _syntax_error(error)[:_ERROR_CHARS]
    if isinstance(error, UnicodeEncodeError):
        return "SyntaxError: the program contains characters that are not valid Unicode"
    message = _message(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


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


def _forbidden_call(tree: Any, forbidden: tuple[str, ...]) -> tuple[str, int] | None:
    """Return (name, line) of the first call of a forbidden method, by line, if there is one."""
    found = []
    todo = [tree]
    while todo:
        node = todo.pop()
        if type(node).__name__ == "Call" and type(node.func).__name__ == "Attribute":
            if node.func.attr in forbidden:
                found.append((node.lineno, node.func.attr))
        for name in node._fields:
            item = getattr(node, name, None)
            for part in item if isinstance(item, list) else (item,):
                if hasattr(part, "_fields"):
                    todo.append(part)
    if not found:
        return None
    line, name = min(found)
    return name, line


def _run_script(fd: int, *request: Any) -> None:
    raise NotImplementedError


if not TYPE_CHECKING:
    _encode = canonical.encode  # noqa: F821 - the zygote puts the module here
