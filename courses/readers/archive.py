"""The files of a directory or a zip, by relative name.

A zip that wraps everything in one folder reads like that folder.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import BinaryIO

from novicegym.errors import CourseError


class Archive:
    """Read-only files; names are relative, with "/" between folders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._top = ""
        if path.is_dir():
            self.names = sorted(
                file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()
            )
            return
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise CourseError(f"neither a directory nor a zip: {error}", file=str(path)) from None
        names = [name for name in self._zip.namelist() if not name.endswith("/")]
        # macOS adds a folder of its own.
        names = [name for name in names if not name.startswith("__MACOSX/")]
        tops = {name.partition("/")[0] for name in names}
        if len(tops) == 1 and all("/" in name for name in names):
            self._top = tops.pop() + "/"
        self.names = sorted(name.removeprefix(self._top) for name in names)

    def label(self, name: str) -> str:
        """Return the name of a file as errors show it."""
        return str(self.path / name) if self._zip is None else f"{self.path}!{self._top}{name}"

    def open(self, name: str) -> BinaryIO:
        """Open a file; raises CourseError when it is not there or cannot be read."""
        if name not in self:
            raise CourseError("no such file", file=self.label(name))
        try:
            if self._zip is None:
                return (self.path / name).open("rb")
            # Not the member itself: each read of it would move the archive's shared position.
            return io.BytesIO(self._zip.read(self._top + name))
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise CourseError(f"cannot be read: {error}", file=self.label(name)) from None

    def __contains__(self, name: str) -> bool:
        if self._zip is None:
            return (self.path / name).is_file()
        return self._top + name in self._zip.NameToInfo
