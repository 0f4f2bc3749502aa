"""What runs in the forked child of one submission: the student's program, case by case.

The child reads its request from its own socket, answers with one line of canonical text a case,
and ends. It knows the calls to make and the stdin to give, never an expected answer. It imports
nothing of ours but what the zygote gives it, and works on a private copy of the builtins: a
program that patches `builtins` patches only itself.

Not covered: limits and isolation, which the zygote installed before the fork.
"""

from __future__ import annotations

import contextlib
import io
import marshal
import os
import sys
from _json import encode_basestring_ascii as quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType, ModuleType
    from typing import Any

    from novicegym.grading import folder
    from novicegym.grading.python import cs110 as autograder
    from novicegym.grading.python import encoder, tracebacks

SEED = 0
"""`random` starts from here in every test case of a program that names it."""
_ONLY_TREE = 0x400  # ast.PyCF_ONLY_AST
_RECURSION_LIMIT = 1_000
"""Python's own; every test case starts with it."""

_DESCRIPTOR_READERS = ("open(0", "os.read", "fileno", "FileIO", "fdopen")
"""What a program names that reads its input by descriptor 0 and not by `sys.stdin`."""

_exit = os._exit
_chdir = os.chdir
_set_recursion_limit = sys.setrecursionlimit
_getpid = os.getpid
_write = os.write
_home = ""
_path: list[str] = []
_environment: dict[str, str] = {}
_PRISTINE = dict(sys.modules["builtins"].__dict__)
# Made before the fork, and kept: to make one, or to let it go, writes to the reference count of
# every builtin, and each page of memory that a child writes to is copied first.
_READY_BUILTINS = 16
_builtins: list[ModuleType] = []
_read = os.read
_encode: Callable[[Any, int], str]


class Output:
    """What a program prints: kept up to a cap, thrown away beyond it.

    No subclass of an `io` class: those cost ten times as much to make and to let go.
    """

    encoding = "utf-8"
    errors = "backslashreplace"
    closed = False

    def __init__(self, room: int) -> None:
        self.parts: list[str] = []
        self.room = room
        self.cut = False

    @property
    def buffer(self) -> _Bytes:
        return _Bytes(self)

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

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        pass

    close = flush

    def reconfigure(self, **_: object) -> None:
        pass

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    isatty = seekable = readable

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")

    def text(self) -> str:
        return "".join(self.parts)


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer` of an `Output`."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, data: Any) -> int:
        self._output.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def writable(self) -> bool:
        return True


class Input(io.StringIO):
    """What a program reads: text, and by its `buffer` bytes."""

    encoding = "utf-8"
    _bytes: io.BytesIO | None = None

    @property
    def buffer(self) -> io.BytesIO:
        if self._bytes is None:
            self._bytes = io.BytesIO(self.read().encode("utf-8", "surrogatepass"))
        return self._bytes

    def reconfigure(self, **_: object) -> None:
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


def settle() -> None:
    """Make ready what every child needs, once for all that a zygote forks."""
    global _home
    import random

    random.seed(SEED)
    _path[:] = sys.path
    _environment.update(os.environ)
    _home = os.getcwd()
    while len(_builtins) < _READY_BUILTINS:
        _builtins.append(_new_builtins())


def _new_builtins() -> ModuleType:
    """Return a module of builtins for one test case, which may do to it what it likes."""
    module = type(sys)("builtins")
    module.__dict__.update(_PRISTINE)
    module.input = _input  # type: ignore[attr-defined]
    module.exit = module.quit = _quit  # type: ignore[attr-defined]
    return module


def serve(source: int, sink: int) -> None:
    """Read the request on descriptor `source`, carry it out, answer on `sink`, end the process."""
    size = int.from_bytes(_receive(source, 4), "big")
    kind, *request = marshal.loads(_receive(source, size))
    if kind == "program":
        _run_program(sink, *request)
    else:
        _run_script(source, sink, *request)
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
    room: int,
) -> None:
    try:
        text = code.removeprefix("\ufeff")
        program = compile(text, tracebacks.PROGRAM_FILE, "exec", 0, True)
        if forbidden and _mentions(program, forbidden):
            tree = compile(text, tracebacks.PROGRAM_FILE, "exec", _ONLY_TREE, True)
            called = _forbidden_call(tree, forbidden)
            if called is not None:
                _send(fd, f'["forbidden",{quote(called[0])},{called[1]}]')
                return
    except BaseException as error:
        _send(fd, f'["compile",{quote(tracebacks.compile_error(error))}]')
        return
    pid = _getpid()
    home = _home or os.getcwd()
    # From the zygote it comes seeded; only a program that uses it moves it on.
    seed = setup is not None or "random" in code
    by_descriptor = any(name in code for name in _DESCRIPTOR_READERS)
    for number, case in enumerate(cases):
        _set_recursion_limit(_RECURSION_LIMIT)
        # What a case did to builtins or to its folder is not the next one's business.
        if number >= len(_builtins):
            _builtins.append(_new_builtins())
        sys.modules["builtins"] = _builtins[number]
        if number:
            folder.empty_folder(home)
            _chdir(home)
            _forget_the_last_case(environment_too="environ" in code or "putenv" in code)
        _write_files(files)
        if seed:
            _seed()
        reply = _run_case(program, setup, case, code, by_descriptor, output_room, room)
        if _getpid() != pid:  # the program forked, and this is the copy
            _exit(0)
        _send(fd, reply)
    _send(fd, '["end"]')


def _forget_the_last_case(*, environment_too: bool) -> None:
    """Take back what programs change beyond their own names, as far as novices do.

    `environment_too`: for a program that names it, since that takes long. What stays: attributes
    set on modules, settings of modules such as the decimal context.
    """
    sys.argv[:] = [""]
    sys.path[:] = _path
    if environment_too:
        os.environ.clear()
        os.environ.update(_environment)
    logging = sys.modules.get("logging")
    if logging is not None:  # its handlers hold on to the last case's streams and files
        logging.root.handlers.clear()
        logging.root.setLevel(logging.WARNING)
    signals = sys.modules.get("signal")
    if signals is not None:
        signals.alarm(0)
        signals.setitimer(signals.ITIMER_REAL, 0)


def _run_case(
    program: CodeType,
    setup: CodeType | None,
    case: tuple[Any, ...],
    source: str,
    by_descriptor: bool,
    output_room: int,
    room: int,
) -> str:
    """Run the program in a fresh namespace, then the call if there is one; return the reply."""
    kind = case[0]
    main = type(sys)("__main__")
    names = main.__dict__
    names["__builtins__"] = sys.modules["builtins"]
    names["__file__"] = "program.py"
    sys.modules["__main__"] = main
    stdin = case[1] if kind == "io" else ""
    sys.stdin = sys.__stdin__ = Input(stdin, None)  # type: ignore[misc, assignment]
    if kind == "io" and by_descriptor:
        _give_descriptor(stdin)
    out = Output(output_room)
    err = Output(output_room)
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc, assignment]
    sys.stderr = sys.__stderr__ = err  # type: ignore[misc, assignment]
    failure = "null"
    value = "null"
    try:
        if setup is not None:
            exec(setup, names)
        exec(program, names)
        if sys.stdout is not out:  # a stream of the program's own, around `buffer`
            _flush(sys.stdout)
        if kind == "call":
            value = _encode(eval(marshal.loads(case[1]), names), room)
        elif kind == "use":
            out.parts.clear()
            value = _use(names, case, room)
    except SystemExit as error:
        if kind == "call":
            failure = f'["runtime",{quote(tracebacks.error_text(error, source))}]'
        elif error.code is not None and not isinstance(error.code, int):
            err.write(tracebacks.message(error) + "\n")
    except MemoryError as error:
        failure = f'["memory",{quote(tracebacks.error_text(error, source))}]'
    except BaseException as error:
        _set_recursion_limit(2 * _RECURSION_LIMIT)  # room to tell of the error
        failure = f'["runtime",{quote(tracebacks.error_text(error, source))}]'
    if kind == "call":
        return f'["case",{value},{quote(out.text()[-1000:])},false,"",{failure}]'
    cut = "true" if out.cut else "false"
    return f'["case",{value},{quote(out.text())},{cut},{quote(err.text())},{failure}]'


def _flush(stream: Any) -> None:
    with contextlib.suppress(Exception):  # it need not be one that can
        stream.flush()


def _give_descriptor(stdin: str) -> None:
    """Let a program that reads descriptor 0 find there what it is given."""
    fd = os.open("stdin", os.O_RDWR | os.O_CREAT)
    os.unlink("stdin")
    os.write(fd, stdin.encode("utf-8", "surrogatepass"))
    os.lseek(fd, 0, os.SEEK_SET)
    if fd != 0:  # the last case may have closed that
        os.dup2(fd, 0)
        os.close(fd)


def _use(names: dict[str, Any], case: tuple[Any, ...], room: int) -> str:
    """Return a name of the program, or what calling it gives, for a script that imports it."""
    _, name, args, kwargs = case
    if name not in names:
        return '["o","missing"]'
    return _encode(names[name] if args is None else names[name](*args, **kwargs), room)


def _seed() -> None:
    random = sys.modules.get("random")
    if random is not None:
        random.seed(SEED)


def _write_files(files: tuple[tuple[str, str], ...]) -> None:
    for name, text in files:
        with open(name, "w", encoding="utf-8", newline="", errors="surrogatepass") as file:
            file.write(text)


def _mentions(program: CodeType, names: tuple[str, ...]) -> bool:
    """Whether any of the names occurs in the compiled program: a call of it must."""
    return any(name in names for name in program.co_names) or any(
        _mentions(part, names) for part in program.co_consts if hasattr(part, "co_names")
    )


def _forbidden_call(tree: Any, forbidden: tuple[str, ...]) -> tuple[str, int] | None:
    """Return (name, line) of the first call of a forbidden method, by line, if there is one."""
    found = []
    todo = [tree]
    while todo:
        node = todo.pop()
        is_method_call = type(node).__name__ == "Call" and type(node.func).__name__ == "Attribute"
        if is_method_call and node.func.attr in forbidden:
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


def _run_script(
    source_fd: int,
    fd: int,
    source: str,
    files: tuple[tuple[str, str], ...],
    modules: tuple[str, ...],
    output_room: int,
    reply_room: int,
) -> None:
    """Run a teacher's test script; reply with its points and what it printed."""

    def ask(*question: Any) -> Any:
        _send(fd, f'["ask",{_encode(question, reply_room)}]')
        size = int.from_bytes(_receive(source_fd, 4), "big")
        return marshal.loads(_receive(source_fd, size))

    _write_files(files)
    autograder.ask = ask
    package = type(sys)("cs110")
    package.__path__ = []
    package.autograder = autograder  # type: ignore[attr-defined]
    sys.modules["cs110"], sys.modules["cs110.autograder"] = package, autograder
    spec = type(sys.__spec__)
    sys.meta_path.insert(0, autograder.StudentFinder(modules, spec))
    sys.path.insert(0, "")
    names = {"__name__": "testcase", "__builtins__": sys.modules["builtins"]}
    sys.stdin = io.StringIO("")
    out = Output(output_room)
    sys.stdout = sys.stderr = out
    _seed()
    points = "null"
    failure = "null"
    complete = True
    try:
        exec(compile(source, tracebacks.PROGRAM_FILE, "exec", 0, True), names)
        test_passed = names.get("test_passed")
        if not callable(test_passed):
            complete = False
            raise NameError("it must define a function test_passed() that returns the points")
        points = _encode(test_passed(), reply_room)
    except BaseException as error:
        by_student = "true" if isinstance(error, autograder.StudentError) else "false"
        message = (
            tracebacks.message(error)
            if by_student == "true"
            else tracebacks.error_text(error, source)
        )
        failure = f"[{by_student},{quote(message)}]"
    # A script that raises before it asked anything, or lacks its function, is itself broken.
    consulted = "true" if autograder.consulted and complete else "false"
    _send(fd, f'["result",{points},{quote(out.text())},{failure},{consulted}]')


if not TYPE_CHECKING:
    _encode = encoder.encode  # the zygote put the module here
