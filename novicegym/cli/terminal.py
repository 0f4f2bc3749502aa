"""A person at a terminal: what is shown, what is typed, the editor. A pipe will do, too.

Covered: lines, blocks of lines that end with a line with a single dot, $VISUAL or $EDITOR on a
temporary file, Python in colours, changes as a diff. All that a log, a student or a policy wrote
goes through `printable`, so it cannot drive the terminal; an editor gets a program as it is.
Where standard input is no terminal there are no prompts and no editor, and the end of the input
ends a block. Not covered: full-screen views; Windows.
"""

from __future__ import annotations

import difflib
import io
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from novicegym.dialogs.diffs import LONGEST_DIFFED, make_diff
from novicegym.envs.render import printable

END_OF_BLOCK = "."
_THEME = "ansi_dark"  # the terminal's own colours, on its own background
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class NoEditorError(Exception):
    """There is no editor to open; the message says why."""


class Terminal:
    """Shows things on a console and reads what is typed."""

    def __init__(self, console: Console) -> None:
        """Read standard input; what in it is no UTF-8 becomes a replacement character."""
        self.console = console
        self.interactive = sys.stdin.isatty()
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        if self.interactive:
            with suppress(ImportError):
                import readline  # noqa: F401  # gives input() arrow keys and a history

    def heading(self, text: str) -> None:
        """Show a line across the page, apart from what stands above."""
        self.console.print()
        self.console.rule(Text(printable(" ".join(text.split())), style="bold"), align="left")

    def text(self, text: str, style: str = "") -> None:
        """Show words; a terminal folds them, a pipe gets them as they are."""
        self.console.print(
            Text(printable(text), style=style), soft_wrap=not self.console.is_terminal
        )

    def prose(self, text: str) -> None:
        """Show words whose paragraphs may be folded anew where a line of theirs is too long."""
        if self.console.is_terminal:
            text = "\n\n".join(self._refolded(part) for part in text.split("\n\n"))
        self.text(text)

    def code(self, code: str, previous: str = "") -> None:
        """Show a program with line numbers, the lines marked that `previous` has not, if any."""
        shown = Syntax(
            printable(code.removesuffix("\n")),
            "python",
            theme=_THEME,
            background_color="default",
            line_numbers=True,
            highlight_lines=_changed_lines(previous, code),
            word_wrap=True,
        )
        self.console.print(shown)

    def _refolded(self, paragraph: str) -> str:
        lines = paragraph.split("\n")
        # An indented line is an example or belongs to a list: it stays where it is.
        is_prose = all(line[:1].isalpha() for line in lines)
        is_wide = any(len(line) > self.console.width for line in lines)
        return " ".join(lines) if is_prose and is_wide else paragraph

    def diff(self, previous: str, code: str) -> None:
        """Show what changes from `previous` to `code`; the whole program where it is too long."""
        if _is_long(previous, code):
            self.code(code)
            return
        # Only "\n" ends a line here; one at the end of the program is no change to look at.
        for line in make_diff(previous.rstrip("\n"), code.rstrip("\n")).split("\n"):
            self.text(line, _DIFF_STYLES.get(line[:1], ""))

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Say on a terminal what is waited for, as long as the block runs."""
        return self.console.status(what) if self.console.is_terminal else nullcontext()

    def line(self, prompt: str) -> str:
        """Return the next line; EOFError at the end."""
        if self.interactive:
            return input(prompt)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.removesuffix("\n").removesuffix("\r")

    def block(self, first: str | None = None) -> str:
        """Return `first` and the lines up to one with a single dot, each with its line end.

        The end of the input is the end of a script's block; EOFError where a person typed it.
        """
        lines = [] if first is None else [first]
        while True:
            try:
                line = self.line(f"{len(lines) + 1:3} | ")
            except EOFError:
                if self.interactive:
                    raise
                break
            if line == END_OF_BLOCK:
                break
            lines.append(line)
        return "".join(f"{line}\n" for line in lines)

    def edit(self, text: str, file_name: str) -> str | None:
        """Return `text` as it is after the editor; None where the editor says that it failed.

        Raises NoEditorError where none is named or can be started.
        """
        if not self.interactive:
            raise NoEditorError("standard input is no terminal")
        variable = "VISUAL" if os.environ.get("VISUAL", "").strip() else "EDITOR"
        named = os.environ.get(variable, "").strip()
        if not named:
            raise NoEditorError("neither $VISUAL nor $EDITOR is set")
        with tempfile.TemporaryDirectory(prefix="novicegym-") as folder:
            file = Path(folder) / file_name
            file.write_bytes(text.encode("utf-8", "replace"))
            try:
                ended = subprocess.run([*shlex.split(named), str(file)])
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise NoEditorError(f"${variable} ({named}) cannot be started: {reason}") from None
            if ended.returncode != 0 or not file.is_file():
                return None
            edited = file.read_bytes().decode("utf-8", "replace")
        return edited.replace("\r\n", "\n")


def _is_long(*programs: str) -> bool:
    return max(program.count("\n") for program in programs) > LONGEST_DIFFED


def _changed_lines(previous: str, code: str) -> set[int]:
    """Return the numbers (from 1) of the lines of `code` that `previous` has not."""
    if not previous or _is_long(previous, code):
        return set()
    matcher = difflib.SequenceMatcher(None, previous.split("\n"), code.split("\n"), autojunk=False)
    return {
        number
        for tag, _, _, first, last in matcher.get_opcodes()
        if tag != "equal"
        for number in range(first + 1, last + 1)
    }
